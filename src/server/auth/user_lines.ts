/**
 * Files with a line for each user.
 *
 * @module
 */

import { linesOf, problemOfLine } from "./text_lines.ts";

/** One problem of a file of users. */
export interface UsersProblem {
  /** The line, starting at 1; `undefined` if the problem concerns the whole file. */
  readonly line?: number;
  /** Never contains text of the file. */
  readonly reason: string;
}

/** All problems of a file of users. */
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

/** A line with a user. */
export interface UserLine {
  /** Empty if the line has none. */
  readonly name: string;
  readonly value: string;
  /** Why the line is invalid, if it is. */
  readonly problem?: string;
}

/**
 * Reads the values of users by their names. `parse` gets each line that is neither
 * blank nor a comment.
 *
 * @throws {UsersError} with all problems and their lines.
 */
export function readUserLines(
  text: string,
  parse: (line: string) => UserLine,
): Map<string, string> {
  const values = new Map<string, string>();
  const lineOf = new Map<string, number>();
  const problems: UsersProblem[] = [];
  for (const { line, text: content } of linesOf(text)) {
    const isComment = /^\s*(#|$)/.test(content);
    // A carriage return may hide a login after a comment.
    const unusable = problemOfLine(content.replace(/[ \t]+$/, ""), isComment);
    if (isComment && !unusable) continue;
    const { name, value, problem } = unusable
      ? { name: "", value: "", problem: unusable }
      : parse(content);
    const other = lineOf.get(name);
    const reason = problem ?? (other && `the name is on line ${other} already`);
    if (reason) problems.push({ line, reason });
    else values.set(name, value);
    if (name !== "") lineOf.set(name, other ?? line);
  }
  if (problems.length > 0) throw new UsersError(problems);
  if (values.size > 0) return values;
  throw new UsersError([{ reason: "there is no user" }]);
}
