/**
 * Users files: names, the hashes of their passwords, and attributes, as text.
 *
 * @module
 */

import { parseAttributes } from "../accounting/parse_attributes.ts";
import type { UserAttributes } from "../accounting/user_attributes.ts";
import { readUserLines, type UserLine } from "./user_lines.ts";
import {
  problemOfHash,
  problemOfName,
  type UserEntry,
  Users,
} from "./users.ts";
import type { UsersOptions } from "./users.ts";

/**
 * Reads the text of a users file, in which lines end with LF or CR LF, and a byte
 * order mark is ignored. Each line has a name, a colon and a hash made
 * by {@linkcode hashPassword}. Names may contain colons, but do not begin with
 * `#`, and neither begin nor end with white space. Blank lines and lines that
 * begin with `#` are skipped. Control characters are errors.
 *
 * Attributes may follow the hash, see {@linkcode UserAttributes}, each after a space:
 *
 * - `quota=50G/month`, or `/day`: bytes in both directions together, with the prefixes k, M,
 *   G, T (decimal) and Ki, Mi, Gi, Ti (binary), counted from midnight UTC
 * - `until=2026-12-31`: the last day (of UTC), or a time such as `2026-12-31T18:00:00+01:00`
 * - `sessions=5`: simultaneous sessions; 0 for no limit
 * - `rate=10M`: bytes per second of all sessions; 0 for no limit
 * - `via=192.0.2.1,2001:db8:1::/64`: local addresses and prefixes to connect from
 *
 * @throws {UsersError} with all problems and their lines. It does not show the
 * text of a line, because that may be a password.
 *
 * @example
 * ```ts
 * import { hashPassword, parseUsers, serve, userPass } from "@x/socks5/server";
 *
 * const hash = await hashPassword("correct horse");
 * const users = parseUsers(`alice:${hash} quota=50G/month sessions=5\n`);
 * await using server = await serve({
 *   port: 0,
 *   auth: [userPass(users)],
 *   userAttributes: (user) => users.attributes.get(user),
 * });
 * console.log(users.attributes.get("alice")?.sessions); // 5
 * ```
 */
export function parseUsers(text: string, options?: UsersOptions): Users {
  const attributes = new Map<string, UserAttributes>();
  const hashes = readUserLines(text, (content) => {
    const { given, ...line } = parseLine(content);
    if (given && !line.problem) attributes.set(line.name, given);
    return line;
  });
  const entries = Array.from(
    hashes,
    ([name, hash]): UserEntry => [name, hash, attributes.get(name)],
  );
  return new Users(entries, options);
}

interface AttributedLine extends UserLine {
  readonly given?: UserAttributes;
}

/** What hashes begin with. */
const HASH_PREFIX = "$pbkdf2-";

/** The name may have colons and spaces, the hash neither, and attributes may have colons. */
function parseLine(content: string): AttributedLine {
  const line = content.trimEnd();
  const [, before, hash, rest] = /^(.*):(\$[^ :]*)( .*)?$/s.exec(line) ?? [];
  if (hash === undefined) return withoutAttributes(line);
  const name = before;
  const problem = problemOfNames(name) ?? problemOfHash(hash);
  if (problem || rest === undefined) return { name, value: hash, problem };
  const given = parseAttributes(rest);
  return typeof given === "string"
    ? { name, value: hash, problem: given }
    : { name, value: hash, given };
}

/** A line that is appended to one without a line break would make a user of both. */
function problemOfNames(name: string): string | undefined {
  return name.includes(`:${HASH_PREFIX}`)
    ? "two logins on one line: a line break is missing before the second"
    : problemOfName(name);
}

/** The line of no valid hash. */
function withoutAttributes(line: string): UserLine {
  const end = line.lastIndexOf(":");
  if (end < 0) return { name: "", value: "", problem: "not NAME:HASH" };
  const name = line.slice(0, end);
  const value = line.slice(end + 1);
  return { name, value, problem: problemOfName(name) ?? problemOfHash(value) };
}
