/**
 * The logins of `--user` and of the environment.
 *
 * @module
 */

import { linesOf, problemOfLine } from "../../server/auth/text_lines.ts";
import { quote } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import { USERS_VARIABLE } from "./flag_table.ts";

/**
 * Reads the values of `--user` and of the variable, and returns passwords by user name.
 *
 * @throws {UsageError} if one is invalid. The message contains no password.
 */
export function parseLogins(
  given: readonly string[],
  variable: string | undefined,
): Map<string, string> {
  const logins = new Map<string, string>();
  for (const text of given) addLogin(logins, text, "--user");
  for (const { line, text } of linesOf(variable ?? "")) {
    if (text.trim() === "") continue;
    addLogin(logins, text, `line ${line} of ${USERS_VARIABLE}`);
  }
  return logins;
}

/** The maximum length of a name and of a password, in bytes (RFC 1929 section 2). */
const MAX_LENGTH = 255;

function isTooLong(text: string): boolean {
  return new TextEncoder().encode(text).length > MAX_LENGTH;
}

/** Error messages do not show the text: all of it may be a password. */
function addLogin(
  logins: Map<string, string>,
  text: string,
  source: string,
): void {
  const unusable = problemOfLine(text);
  if (unusable) throw new UsageError(`${source} has ${unusable}`);
  const colon = text.indexOf(":");
  const [name, password] = [text.slice(0, colon), text.slice(colon + 1)];
  if (colon < 1 || password === "") {
    throw new UsageError(
      `${source} must be NAME:PASSWORD, neither of them empty`,
    );
  }
  if (name !== name.trim()) {
    throw new UsageError(`${source} has white space around the name`);
  }
  const isLong = [name, password].map(isTooLong);
  if (isLong.includes(true)) {
    const user = isLong[0] ? "" : ` (user ${quote(name)})`;
    throw new UsageError(
      `${source} must have a name and a password of 1 to ${MAX_LENGTH} bytes${user}`,
    );
  }
  if (logins.has(name)) {
    throw new UsageError(`user ${quote(name)} is defined twice`);
  }
  logins.set(name, password);
}
