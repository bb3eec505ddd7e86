/**
 * Checks how large the entries for clients are in an application: bundled, minified and
 * compressed, with what they load at start. Modules that they load later, such as the
 * network of another runtime, are not counted.
 *
 * @module
 */

import { join } from "node:path";
import { run } from "../run.ts";
import { report, tools } from "./report.ts";

const KIB = 1024;

/**
 * The largest size of each entry in bytes. A door may have 3 KiB more than the client; these
 * leave out much of it.
 */
const limits: Record<string, number> = {
  "./client": 20 * KIB,
  "./socket": 17 * KIB,
  "./agent": 17 * KIB,
  "./undici": 17 * KIB,
  "./fetch": 23 * KIB,
  "./register": 23 * KIB,
};

/** Prints the size of the module that its argument names. */
const program = (esbuild: string) => `
import { gzipSync } from "node:zlib";
import { build } from ${JSON.stringify(esbuild)};

const later = {
  name: "later",
  setup: (it) => it.onResolve({ filter: /./ }, ({ kind, path }) =>
    kind === "dynamic-import" ? { path, external: true } : undefined),
};
const { outputFiles } = await build({
  stdin: { contents: 'export * from "' + process.argv[2] + '";', resolveDir: "." },
  ...{ bundle: true, minify: true, write: false, plugins: [later] },
  ...{ format: "esm", platform: "node", logLevel: "error" },
});
console.log(gzipSync(outputFiles[0].contents, { level: 9 }).length);
`;

/** Checks the package of this name, which is installed in the folder. */
export async function checkSizes(folder: string, name: string): Promise<void> {
  const tool = await tools("esbuild@0.28.2");
  if (tool === undefined) return;
  const path = join(folder, "size.mjs");
  await Deno.writeTextFile(path, program(tool("esbuild", "lib", "main.js")));
  for (const [entry, limit] of Object.entries(limits)) {
    const args = [path, `${name}${entry.slice(1)}`];
    const { success, stdout, stderr } = await run("node", args, {
      cwd: folder,
    });
    const size = Number(stdout);
    const isSmall = success && size > 0 && size <= limit;
    report(
      `size of ${entry}`,
      isSmall ? undefined : `${size} bytes, not at most ${limit}\n${stderr}`,
    );
  }
}
