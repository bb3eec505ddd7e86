/**
 * The kind of a value that is the URL of Redis.
 *
 * @module
 */

import { parseRedisUrl } from "../../redis/redis_url.ts";
import { problemOfLine } from "../../server/auth/text_lines.ts";
import { UsageError } from "../usage_error.ts";
import { attempt, type Kind } from "./kinds.ts";

/** A URL, which error messages never show: it may have a password. */
export function redisUrl(): Kind<string> {
  const parse = (text: string, subject: string): string => {
    const problem = problemOfLine(text);
    if (problem) throw new UsageError(`${subject} must not have ${problem}`);
    try {
      parseRedisUrl(text);
    } catch (error) {
      throw new UsageError(`${subject} ${(error as Error).message}`);
    }
    return text;
  };
  return {
    schema: { type: "string", pattern: "^(rediss?://|unix:/)[^\\s]+$" },
    parse,
    read: (value, context) =>
      attempt(
        context,
        () => parse(typeof value === "string" ? value : "", `${context.path}:`),
      ),
  };
}
