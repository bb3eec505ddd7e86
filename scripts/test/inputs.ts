/**
 * The files that the runtimes run: the tests on Deno, their bundles on Bun and Node.
 *
 * @module
 */

import { dirname, join, relative } from "node:path";
import { files, root } from "../files.ts";
import { run } from "../run.ts";
import type { Choice } from "./choice.ts";

/** Returns the paths of the test files, relative to the root folder. */
export async function testFiles(
  { paths, interop }: Choice,
): Promise<string[]> {
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
async function programs(tests: readonly string[]): Promise<string[]> {
  const paths = new Set(tests.map((it) => join(dirname(it), "program.ts")));
  const found = await Promise.all([...paths].map(async (path) => {
    const stat = await Deno.stat(join(root, path)).catch(() => undefined);
    return stat ? [path] : [];
  }));
  return found.flat();
}

/** Bundles the tests into a new folder of `.build/` and returns it. */
export async function bundleTests(
  tests: readonly string[],
  flags: readonly string[],
): Promise<string> {
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
  await refuseUsing(outdir);
  return outdir;
}

/** Rejects if a bundle declares a variable with `using`. */
async function refuseUsing(folder: string): Promise<void> {
  for await (const path of files(folder)) {
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
}
