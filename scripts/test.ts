/**
 * Runs the tests: on Deno from the sources, on Bun and Node from bundles. The
 * arguments, in any order and number:
 *
 * - runtimes: `deno`, `bun`, `node20`, `node22`, `node24`, `node26`, and `node`
 *   for these four
 * - test files or folders; by default all except `tests/interop` and
 *   `tests/packaging`
 * - `--interop`: includes `tests/interop`
 * - `--filter TEXT` or `--filter /REGEXP/`: runs only the tests whose name matches
 * - `--verbose`: prints the output of the runtimes even if all tests pass, and
 *   lists the skipped tests, of which usually only the reasons are printed
 *
 * Fails if a test fails, if no test runs, if a skipped test has no reason, or if
 * the runtimes do not run the same number of tests.
 *
 * @module
 */

import { delimiter, dirname, isAbsolute } from "node:path";
import { files } from "./files.ts";
import { findRuntimes, type Runtime } from "./runtimes.ts";
import { stdFlags } from "./std.ts";
import { type Choice, parseChoice } from "./test/choice.ts";
import { bundleTests, testFiles } from "./test/inputs.ts";
import { Progress } from "./test/progress.ts";
import {
  complaints,
  type Result,
  skipLines,
  sums,
  table,
} from "./test/results.ts";
import { type Run, runTests } from "./test/run_tests.ts";

/**
 * The number of runtimes tested at the same time: most tests wait most of the
 * time. The tests against other software run on one runtime at a time.
 */
const AT_ONCE = Math.min(2, navigator.hardwareConcurrency);

/**
 * The environment by which some tests start other runtimes: the first one of each kind on
 * the `PATH`, and all of them by their names, as in `$NODE24`.
 */
function environmentWith(
  runtimes: readonly Runtime[],
): Record<string, string> {
  const executables = [Deno.execPath(), ...runtimes.map(({ path }) => path)];
  const folders = executables.filter(isAbsolute).map((it) => dirname(it));
  const named = runtimes.map(({ name, path }) => [name.toUpperCase(), path]);
  return {
    ...Object.fromEntries(named),
    PATH: [...folders, Deno.env.get("PATH")].join(delimiter),
  };
}

/** Runs a function for each item, at most `count` at the same time. */
async function inParallel<T, U>(
  count: number,
  items: readonly T[],
  run: (item: T) => Promise<U>,
): Promise<U[]> {
  const results: U[] = [];
  const left = items.entries();
  const worker = async () => {
    for (const [i, item] of left) results[i] = await run(item);
  };
  await Promise.all(Array.from({ length: count }, worker));
  return results;
}

/** Runs the tests on all runtimes, and shows the progress. */
async function runAll(
  tests: string[],
  runtimes: readonly Runtime[],
  { filter, verbose }: Choice,
): Promise<Result[]> {
  const flags = await stdFlags();
  const environment = environmentWith(runtimes);
  const isAlone = runtimes.length === 1;
  const show: Run["show"] = isAlone
    ? "at once"
    : verbose
    ? "at the end"
    : "after failures";
  const progress = new Progress(screen());
  let outdir: string | undefined;
  try {
    const names = runtimes.map(({ name }) => name).join(", ");
    progress.print(`${names}: ${tests.length} test files …`);
    let bundles: string[] = [];
    if (runtimes.some((it) => it.name !== "deno")) {
      outdir = await bundleTests(tests, flags);
      bundles = (await Array.fromAsync(files(outdir))).filter((it) =>
        it.endsWith("_test.js")
      );
    }
    const meetsOthers = tests.some((it) => it.startsWith("tests/interop/"));
    return await inParallel(meetsOthers ? 1 : AT_ONCE, runtimes, (runtime) => {
      const inputs = runtime.name === "deno" ? tests : bundles;
      const rest = { flags, filter, environment, progress, show };
      return runTests({ runtime, tests: inputs, ...rest });
    });
  } finally {
    progress.close();
    if (outdir) await Deno.remove(outdir, { recursive: true }).catch(() => {});
  }
}

function screen() {
  const columns = Deno.stdout.isTerminal()
    ? Deno.consoleSize().columns || undefined // 0 if it is not known
    : undefined;
  const encoder = new TextEncoder();
  const write = (text: string) => {
    for (let left = encoder.encode(text); left.length > 0;) {
      left = left.subarray(Deno.stdout.writeSync(left));
    }
  };
  return { columns, write };
}

/** Prints the skipped tests: all, or a line for each reason. */
function printSkips(results: readonly Result[], verbose: boolean): void {
  const lines = verbose
    ? results.flatMap(({ runtime, skips }) =>
      skips.map(({ name, reason }) => `${runtime.name}: ${name} (${reason})`)
    )
    : skipLines(results);
  if (lines.length === 0) return;
  console.log("\nskipped:");
  for (const line of lines) console.log(`  ${line}`);
  if (!verbose) console.log("  (--verbose lists the tests)");
}

async function main(args: string[]): Promise<number> {
  const choice = parseChoice(args);
  const tests = await testFiles(choice);
  if (tests.length === 0) throw new Error("no test files");
  const runtimes = await findRuntimes(choice.runtimes);
  if (runtimes.length === 0) throw new Error("no runtime to test on");
  const results = await runAll(tests, runtimes, choice);
  printSkips(results, choice.verbose);
  const wrong = complaints(results);
  for (const complaint of wrong) console.log(`\nerror: ${complaint}`);
  console.log(`\n${table(results)}\n\n${sums(results)}`);
  return wrong.length === 0 && results.every((it) => it.ok) ? 0 : 1;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
