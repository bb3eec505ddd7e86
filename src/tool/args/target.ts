/**
 * Targets and local addresses as arguments.
 *
 * @module
 */

import { UsageError } from "../../cli/usage_error.ts";
import { parseTarget } from "../../client/target.ts";
import type { Endpoint } from "../../protocol/address.ts";

/** Whether the text can be shown in an error: it is no `NAME:PASSWORD`. */
const HARMLESS = /^([^:@\s]*|[^:@\s]+:\d{1,6}|\[?[\da-f:.]+\]?(:\d{1,6})?)$/i;

/**
 * Reads `HOST:PORT`, or the two as arguments of their own, as ssh writes `%h %p`.
 *
 * @param subject The argument in error messages, such as `HOST:PORT`.
 * @throws {UsageError} with a message that shows nothing that may be a login.
 */
export function readTarget(
  words: readonly string[],
  subject = "HOST:PORT",
): Endpoint {
  if (words.length === 0) throw new UsageError(`${subject} is missing`);
  const [first, port, ...rest] = words;
  const hasPort = port !== undefined && /^\d+$/.test(port);
  if (rest.length > 0 || port !== undefined && !hasPort) {
    throw new UsageError(
      `there are more arguments than the proxies and ${subject}: a proxy's URL ` +
        "begins with a scheme, such as socks5h://",
    );
  }
  const host = first.includes(":") && !first.startsWith("[")
    ? `[${first}]`
    : first;
  return parse(hasPort ? `${host}:${port}` : first, subject);
}

function parse(text: string, subject: string): Endpoint {
  let target: Endpoint;
  try {
    target = parseTarget(text);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(
      HARMLESS.test(text)
        ? `${subject}: ${error.message}`
        : `${subject} is not such a text; it is not shown, because it may be a login`,
    );
  }
  if (target.port !== 0) return target;
  throw new UsageError(`${subject}: the port must be 1 to 65535`);
}
