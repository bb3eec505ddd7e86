/**
 * Users files: names and the hashes of their passwords, as text.
 *
 * @module
 */

import { readUserLines, type UserLine } from "./user_lines.ts";
import { problemOfHash, problemOfName, Users } from "./users.ts";
import type { UsersOptions } from "./users.ts";

/**
 * Reads the text of a users file, in which lines end with LF or CR LF, and a byte
 * order mark is ignored. Each line has a name, a colon and a hash made
 * by {@linkcode hashPassword}. Names may contain colons, but do not begin with
 * `#`, and neither begin nor end with white space. Blank lines and lines that
 * begin with `#` are skipped. Control characters are errors.
 *
 * @throws {UsersError} with all problems and their lines. It does not show the
 * text of a line, because that may be a password.
 *
 * @example
 * ```ts
 * import { hashPassword, parseUsers, userPass } from "@x/socks5/server";
 *
 * const text = `alice:${await hashPassword("correct horse")}\n`;
 * const auth = [userPass(parseUsers(text))];
 * ```
 */
export function parseUsers(text: string, options?: UsersOptions): Users {
  return new Users(readUserLines(text, parseLine), options);
}

function parseLine(content: string): UserLine {
  const line = content.trimEnd();
  const end = line.lastIndexOf(":");
  if (end < 0) return { name: "", value: "", problem: "not NAME:HASH" };
  const name = line.slice(0, end);
  const value = line.slice(end + 1);
  return { name, value, problem: problemOfName(name) ?? problemOfHash(value) };
}
