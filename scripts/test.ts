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
 * - `--verbose`: prints the output of the runtimes even if all tests pass
 *
 * Fails if a test fails, if no test runs, if a skipped test has no reason, or if
 * the runtimes do not run the same number of tests.
 *
 * @module
 */

import { delimiter, dirname, isAbsolute, join, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import {
  files,
  findRuntimes,
  nodeNames,
  root,
  run,
  type Runtime,
  type RuntimeName,
  runtimeNames,
} from "./runtimes.ts";
import { stdFlags } from "./std.ts";

interface Choice {
  runtimes: RuntimeName[];
  paths: string[];
  filter?: string;
  interop: boolean;
  verbose: boolean;
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface Result extends Counts {
  runtime: Runtime;
  skips: string[];
  ok: boolean;
}

/** The time limit for all tests on one runtime, in milliseconds. */
const patience = 10 * 60_000;

/**
 * The number of runtimes tested at the same time: most tests wait most of the
 * time. The tests against other software run on one runtime at a time.
 */
const AT_ONCE = Math.min(2, navigator.hardwareConcurrency);

const permissions = ["net", "read", "write", "env", "run", "sys"].map((it) =>
  `--allow-${it}`
);

function parse(args: string[]): Choice {
  const choice: Choice = {
    runtimes: [],
    paths: [],
    interop: false,
    verbose: false,
  };
  const rest = [...args];
  while (rest.length > 0) {
    const arg = rest.shift()!;
    const name = runtimeNames.find((it) => it === arg);
    if (name) choice.runtimes.push(name);
    else if (arg === "node") choice.runtimes.push(...nodeNames);
    else if (arg === "--interop") choice.interop = true;
    else if (arg === "--verbose") choice.verbose = true;
    else if (arg === "--filter" && rest.length > 0) {
      choice.filter = rest.shift();
    } else if (arg.startsWith("--filter=")) {
      choice.filter = arg.slice("--filter=".length);
    } else if (arg.startsWith("-")) {
      throw new TypeError(`unknown option ${arg}`);
    } else choice.paths.push(arg);
  }
  if (choice.runtimes.length === 0) choice.runtimes.push(...runtimeNames);
  return choice;
}

async function testFiles({ paths, interop }: Choice): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths.length > 0 ? paths : ["tests"]) {
    const isFile = (await Deno.stat(join(root, path))).isFile;
    const all = isFile
      ? [join(root, path)]
      : await Array.fromAsync(files(join(root, path)));
    const names = all.map((it) => relative(root, it)).filter((it) =>
      it.endsWith("_test.ts")
    );
    found.push(...names.filter((it) => {
      if (paths.length > 0) return true;
      return !it.startsWith("tests/packaging/") &&
        (interop || !it.startsWith("tests/interop/"));
    }));
  }
  return found;
}

/** Returns the programs that the tests start: `program.ts` in their folders. */
async function programs(tests: string[]): Promise<string[]> {
  const paths = new Set(tests.map((it) => join(dirname(it), "program.ts")));
  const found = await Promise.all([...paths].map(async (path) => {
    const stat = await Deno.stat(join(root, path)).catch(() => undefined);
    return stat ? [path] : [];
  }));
  return found.flat();
}

/** Bundles the tests into a new folder of `.build/` and returns it. */
async function bundle(tests: string[], flags: string[]): Promise<string> {
  await Deno.mkdir(join(root, ".build"), { recursive: true });
  const outdir = await Deno.makeTempDir({
    dir: join(root, ".build"),
    prefix: "tests-",
  });
  const target = [
    "--platform=deno",
    "--sourcemap=inline",
    `--outdir=${outdir}`,
  ];
  const { success, stderr } = await run(Deno.execPath(), [
    "bundle",
    "--quiet",
    ...target,
    ...flags,
    ...tests,
    ...await programs(tests),
  ]);
  if (!success) throw new Error(`deno bundle failed:\n${stderr}`);
  await Deno.writeTextFile(join(outdir, "package.json"), `{"type":"module"}\n`);
  for await (const path of files(outdir)) {
    const using = /^\s*(?:await )?using \w+ = .*/m.exec(
      await Deno.readTextFile(path),
    );
    if (using === null) continue;
    throw new Error(
      `Node 20 and 22 do not support "using", and nothing compiles it: ${
        using[0].trim()
      }\n` +
        "Call [Symbol.asyncDispose]() in a finally block instead.",
    );
  }
  return outdir;
}

const commands: Record<
  "deno" | "bun" | "node",
  (tests: string[], flags: string[]) => string[]
> = {
  deno: (tests, flags) => [
    "test",
    "--unstable-net",
    ...permissions,
    ...flags,
    ...tests,
  ],
  bun: (
    tests,
  ) => [
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

/** Patterns of the summary at the end of the output. */
const summaries: Record<"deno" | "bun" | "node", Record<keyof Counts, RegExp>> =
  {
    deno: {
      passed: /^(?:ok|FAILED) \|.*?(\d+) passed/gm,
      failed: /^(?:ok|FAILED) \|.*?(\d+) failed/gm,
      skipped: /^(?:ok|FAILED) \|.*?(\d+) ignored/gm,
    },
    bun: {
      passed: /^ *(\d+) pass$/gm,
      failed: /^ *(\d+) fail$/gm,
      skipped: /^ *(\d+) skip$/gm,
    },
    node: {
      passed: /^ℹ pass (\d+)$/gm,
      failed: /^ℹ (?:fail|cancelled) (\d+)$/gm,
      skipped: /^ℹ skipped (\d+)$/gm,
    },
  };

/**
 * Matches the name of a skipped test and the reason, in the format of
 * tests/support/harness.ts, in the output of any runtime.
 */
const skipLine = /^(?:\(skip\) |\W )?(.+? \[skip: .*\]).*$/gm;

/** The `PATH` of the tests, with the other runtimes first: some tests start them. */
function searchPathWith(runtimes: Runtime[]): string {
  const executables = [Deno.execPath(), ...runtimes.map(({ path }) => path)];
  const folders = executables.filter(isAbsolute).map((it) => dirname(it));
  return [...folders, Deno.env.get("PATH")].join(delimiter);
}

async function runTests(
  runtime: Runtime,
  tests: string[],
  flags: string[],
  choice: Choice,
  searchPath: string,
): Promise<Result> {
  const { name, path, version } = runtime;
  const kind = name === "deno" || name === "bun" ? name : "node";
  const env = {
    NO_COLOR: "1",
    TEST_FILTER: choice.filter ?? "",
    PATH: searchPath,
  };
  const signal = AbortSignal.timeout(patience);
  const output = await run(path, commands[kind](tests, flags), { env, signal });
  const text = stripVTControlCharacters(`${output.stdout}\n${output.stderr}`);
  console.log(`\n${name} ${version}`);
  if (!output.success || choice.verbose) console.log(text);

  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const key of ["passed", "failed", "skipped"] as const) {
    const matches = [...text.matchAll(summaries[kind][key])].map((it) =>
      Number(it[1])
    );
    // Node prints two numbers for failed tests: `fail` and `cancelled`.
    const last = matches.slice(kind === "node" && key === "failed" ? -2 : -1);
    counts[key] = last.reduce((a, b) => a + b, 0);
  }
  if (kind === "node") {
    // Node counts a file without tests as a test of its own.
    const empty = tests.filter((it) =>
      text.includes(`\n✔ ${it} (`) || text.startsWith(`✔ ${it} (`)
    );
    counts.passed -= empty.length;
  }
  const skips = [...new Set([...text.matchAll(skipLine)].map((it) => it[1]))];
  for (const skip of skips) console.log(`  skipped: ${skip}`);
  if (signal.aborted) {
    console.log(`${name}: stopped after ${patience / 60_000} minutes`);
  }
  const ok = output.success && counts.failed === 0;
  if (!ok && counts.failed === 0) counts.failed = 1;
  return { runtime, ...counts, skips, ok };
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

/** Returns the problems of the results besides failed tests. */
function complaints(results: Result[]): string[] {
  const wrong: string[] = [];
  const total = (it: Counts) => it.passed + it.failed + it.skipped;
  for (const result of results) {
    const { name } = result.runtime;
    if (result.passed + result.failed === 0) wrong.push(`${name}: no test ran`);
    if (result.skipped > result.skips.length) {
      wrong.push(`${name}: a skipped test gives no reason`);
    }
    if (total(result) !== total(results[0])) {
      const first = results[0].runtime.name;
      wrong.push(
        `${name} has ${total(result)} tests, ${first} has ${total(results[0])}`,
      );
    }
  }
  return wrong;
}

function table(results: Result[]): string {
  const rows = results.map(({ runtime, passed, failed, skipped }) => [
    runtime.name.replace(/\d+/, ""),
    runtime.version,
    ...[passed, failed, skipped].map(String),
  ]);
  rows.unshift(["runtime", "version", "passed", "failed", "skipped"]);
  const widths = rows[0].map((_, i) =>
    Math.max(...rows.map((row) => row[i].length))
  );
  const line = (row: string[]) =>
    row.map((cell, i) =>
      i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])
    ).join("  ");
  return rows.map(line).join("\n");
}

async function main(args: string[]): Promise<number> {
  const choice = parse(args);
  const tests = await testFiles(choice);
  if (tests.length === 0) throw new Error("no test files");
  const runtimes = await findRuntimes(choice.runtimes);
  if (runtimes.length === 0) throw new Error("no runtime to test on");
  if (runtimes.length === 1) choice.verbose = true;
  const flags = await stdFlags();

  const searchPath = searchPathWith(runtimes);
  const results: Result[] = [];
  let outdir: string | undefined;
  try {
    let bundles: string[] = [];
    if (runtimes.some((it) => it.name !== "deno")) {
      outdir = await bundle(tests, flags);
      bundles = (await Array.fromAsync(files(outdir))).filter((it) =>
        it.endsWith("_test.js")
      );
    }
    const names = runtimes.map(({ name }) => name).join(", ");
    console.log(`\n${names}: ${tests.length} test files …`);
    const meetsOthers = tests.some((it) => it.startsWith("tests/interop/"));
    results.push(
      ...await inParallel(meetsOthers ? 1 : AT_ONCE, runtimes, (runtime) => {
        const inputs = runtime.name === "deno" ? tests : bundles;
        return runTests(runtime, inputs, flags, choice, searchPath);
      }),
    );
  } finally {
    if (outdir) await Deno.remove(outdir, { recursive: true }).catch(() => {});
  }

  const wrong = complaints(results);
  for (const complaint of wrong) console.log(`\nerror: ${complaint}`);
  console.log(`\n${table(results)}\n`);
  const sum = (key: keyof Counts) => results.reduce((n, it) => n + it[key], 0);
  console.log(
    `${sum("passed")} passed, ${sum("failed")} failed, ${
      sum("skipped")
    } skipped`,
  );
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
