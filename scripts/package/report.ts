/**
 * Runs and reports the checks of the package.
 *
 * @module
 */

import { join } from "node:path";
import { npmInstall } from "../npm_install.ts";
import { run } from "../run.ts";
import { strict } from "../runtimes.ts";

/** The time limit of a program, in milliseconds. */
export const patience = 60_000;

/** The names of the checks that failed. */
export const failures: string[] = [];

/** Reports a check, which failed if there is a problem. */
export function report(name: string, problem: string | undefined): void {
  console.log(`${problem === undefined ? "ok    " : "FAILED"} ${name}`);
  if (problem === undefined) return;
  failures.push(name);
  console.log(problem.trimEnd());
}

/** A program to run, and what it must print. */
export interface Expectation {
  /** The working directory. */
  folder: string;
  command: string;
  args: readonly string[];
  /** A part of the standard output, or a pattern of all of it; any output by default. */
  output?: string | RegExp;
  /** The `PATH` of the program; by default that of this one. */
  searchPath?: string;
}

/** Runs a program, which must succeed and print the expected output and no error. */
export async function expect(name: string, it: Expectation): Promise<void> {
  const signal = AbortSignal.timeout(patience);
  const { output: expected = "" } = it;
  const { success, code, stdout, stderr } = await run(it.command, [
    ...it.args,
  ], {
    cwd: it.folder,
    env: { NO_COLOR: "1", PATH: it.searchPath ?? Deno.env.get("PATH") ?? "" },
    signal,
  });
  const isExpected = typeof expected === "string"
    ? stdout.includes(expected)
    : expected.test(stdout) && stderr === "";
  const late = signal.aborted ? "it exceeded the time limit\n" : "";
  const problem = `exit code ${code}\n${stdout}${stderr}${late}`;
  report(name, success && isExpected ? undefined : problem);
}

/**
 * Installs tools from npm into `.build/` and returns a function that resolves paths
 * of their files. Returns `undefined` if they are not available; in CI that is an
 * error.
 */
export async function tools(
  ...packages: string[]
): Promise<((...path: string[]) => string) | undefined> {
  const folder = await npmInstall(...packages);
  if (folder !== undefined) {
    return (...path) => join(folder, "node_modules", ...path);
  }
  const note = `${packages.join(", ")} cannot be installed`;
  if (strict) throw new Error(note);
  console.error(`${note}: not checked`);
}
