/**
 * Secrets files: names and secrets, as text.
 *
 * @module
 */

import { problemOfSecret } from "./secrets.ts";
import { readUserLines, type UserLine } from "./user_lines.ts";
import { problemOfName } from "./users.ts";

/**
 * Reads the text of a secrets file, whose lines are as those of {@linkcode parseUsers},
 * but with a secret in clear in place of a hash. A name ends at the first colon, so that
 * secrets may contain colons. White space around a name or a secret is an error.
 *
 * @return The table that {@linkcode chap} takes.
 * @throws {UsersError} with all problems and their lines, without their text.
 *
 * @example
 * ```ts
 * import { chap, parseSecrets } from "@x/socks5/server";
 *
 * const text = "# CHAP\nalice:4dYx-2mQp-9sLw-7hTk\n";
 * const auth = [chap(parseSecrets(text))];
 * ```
 */
export function parseSecrets(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(readUserLines(text, parseLine));
}

function parseLine(line: string): UserLine {
  const colon = line.indexOf(":");
  if (colon < 0) return { name: "", value: "", problem: "not NAME:SECRET" };
  const name = line.slice(0, colon);
  const value = line.slice(colon + 1);
  return { name, value, problem: problemOfName(name) ?? problemOf(value) };
}

function problemOf(secret: string): string | undefined {
  if (secret !== secret.trim()) return "white space around the secret";
  if (secret.includes("\uFFFD")) return "the secret is not UTF-8";
  return problemOfSecret(secret);
}
