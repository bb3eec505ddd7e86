/**
 * Users files: names and the hashes of their passwords, as text.
 *
 * @module
 */

import { linesOf, problemOfLine } from "./text_lines.ts";
import { problemOfHash, problemOfName, Users } from "./users.ts";
import type { UsersOptions } from "./users.ts";

/** One problem of a users file. */
export interface UsersProblem {
  /** The line, from 1 on; `undefined` if the problem is not one of a line. */
  readonly line?: number;
  /** Never contains text of the file. */
  readonly reason: string;
}

/** All problems of a users file. */
export class UsersError extends Error {
  /** Always `"UsersError"`. */
  override readonly name = "UsersError";
  /** At least one. */
  readonly problems: readonly UsersProblem[];

  /** The message lists all problems. */
  constructor(problems: readonly UsersProblem[]) {
    super(problems.map(describe).join("; "));
    this.problems = problems;
  }
}

function describe({ line, reason }: UsersProblem): string {
  return line === undefined ? reason : `line ${line}: ${reason}`;
}

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
  const hashes = new Map<string, string>();
  const lineOf = new Map<string, number>();
  const problems: UsersProblem[] = [];
  for (const { line, text: content } of linesOf(text)) {
    const isComment = /^\s*(#|$)/.test(content);
    // A carriage return may hide a login after a comment.
    const unusable = problemOfLine(content.replace(/[ \t]+$/, ""), isComment);
    if (isComment && !unusable) continue;
    const { name, hash, problem } = unusable
      ? { name: "", hash: "", problem: unusable }
      : parseLine(content.trimEnd());
    const other = lineOf.get(name);
    const reason = problem ?? (other && `the name is on line ${other} already`);
    if (reason) problems.push({ line, reason });
    else hashes.set(name, hash);
    if (name !== "") lineOf.set(name, other ?? line);
  }
  if (problems.length > 0) throw new UsersError(problems);
  if (hashes.size > 0) return new Users(hashes, options);
  throw new UsersError([{ reason: "there is no user" }]);
}

function parseLine(
  line: string,
): { name: string; hash: string; problem?: string } {
  const end = line.lastIndexOf(":");
  if (end < 0) return { name: "", hash: "", problem: "not NAME:HASH" };
  const name = line.slice(0, end);
  const hash = line.slice(end + 1);
  return { name, hash, problem: problemOfName(name) ?? problemOfHash(hash) };
}
