/**
 * Runs the tests on one runtime.
 *
 * @module
 */

import { relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { root } from "../files.ts";
import { runWatched } from "../run.ts";
import type { Runtime } from "../runtimes.ts";
import { countEndings, type Kind, readSkips, readSummary } from "./output.ts";
import type { Progress } from "./progress.ts";
import { formatCounts, type Result } from "./results.ts";

/** The time limit for all tests on one runtime, in milliseconds. */
const patience = 20 * 60_000;

const permissions = ["net", "read", "write", "env", "run", "sys"].map((it) =>
  `--allow-${it}`
);

const commands: Record<Kind, (tests: string[], flags: string[]) => string[]> = {
  deno: (tests, flags) => [
    "test",
    "--unstable-net",
    ...permissions,
    ...flags,
    ...tests,
  ],
  bun: (tests) => [
    "test",
    "--timeout=60000",
    ...tests.map((it) => `./${relative(root, it)}`),
  ],
  node: (tests) => [
    "--test",
    "--test-reporter=spec",
    "--enable-source-maps",
    ...tests,
  ],
};

/** How to run the tests. */
export interface Run {
  runtime: Runtime;
  /** The files for this runtime. */
  tests: string[];
  /** The flags of Deno. */
  flags: string[];
  filter?: string;
  /** The environment of the tests, by which some of them find the other runtimes. */
  environment: Readonly<Record<string, string>>;
  progress: Progress;
  /** When to print the output of the runtime. */
  show: "at once" | "at the end" | "after failures";
}

/** Runs the tests and prints a line about them, and their output if they fail. */
export async function runTests(it: Run): Promise<Result> {
  const { runtime, tests, flags, filter, environment, progress, show } = it;
  const { name, path, version } = runtime;
  const kind = name === "deno" || name === "bun" ? name : "node";
  const env = { ...environment, NO_COLOR: "1", TEST_FILTER: filter ?? "" };
  const signal = AbortSignal.timeout(patience);
  const start = performance.now();
  const ended = { passed: 0, failed: 0, skipped: 0 };
  if (show !== "at once") progress.begin(name, ended);
  const options = { env, signal };
  const args = commands[kind](tests, flags);
  const output = await runWatched(path, args, options, (lines) => {
    countEndings(kind, stripVTControlCharacters(lines), ended);
    if (show === "at once") progress.print(lines.replace(/\n$/, ""));
  });
  progress.end(name);

  const text = stripVTControlCharacters(`${output.stdout}\n${output.stderr}`);
  const counts = readSummary(kind, text, tests);
  const ok = output.success && counts.failed === 0;
  if (!ok && counts.failed === 0) counts.failed = 1;
  if (show === "at the end" || (show === "after failures" && !ok)) {
    progress.print(`\n${text}`);
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const title = `${name} ${version}`;
  progress.print(`${title}: ${formatCounts(counts)} in ${seconds} s`);
  if (signal.aborted) {
    progress.print(`${name}: stopped after ${patience / 60_000} minutes`);
  }
  return { runtime, ...counts, skips: readSkips(text), ok };
}
