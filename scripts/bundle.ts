/**
 * Bundles the modules of the command line, and those of the library that it
 * uses, into a few files: loading them one by one would take half of the time
 * until the server listens. The modules of the library itself are not bundled.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { files } from "./files.ts";
import { run } from "./run.ts";

/**
 * Replaces the folder of `entries`, modules of the package in the folder `out`,
 * with bundles: one of the modules that are always needed, and some of those
 * that are loaded lazily.
 */
export async function bundle(
  out: string,
  entries: readonly string[],
): Promise<void> {
  const parts = join(out, "parts");
  const bundled = join(out, "bundled");
  await cp(join(out, "esm"), join(parts, "esm"), { recursive: true });
  await tie(parts, join(parts, entries[0]));
  const args = [
    "bundle",
    "--quiet",
    "--no-config",
    "--platform=deno",
    "--code-splitting",
    `--outdir=${bundled}`,
    ...entries,
  ];
  const done = await run(Deno.execPath(), args, { cwd: parts });
  if (!done.success) throw new Error(`deno bundle failed:\n${done.stderr}`);
  const folder = join(out, dirname(entries[0]));
  await Deno.remove(folder, { recursive: true });
  await Deno.rename(bundled, folder);
  await Deno.remove(parts, { recursive: true });
}

/**
 * Makes every lazily loaded module import the module at `always`, which is
 * already loaded by then. The bundler puts modules that are needed by the same
 * entries into one file; with this import, all entries need the same modules
 * besides their own.
 */
async function tie(folder: string, always: string): Promise<void> {
  const later = new Set<string>();
  for await (const path of files(folder)) {
    if (!path.endsWith(".js")) continue;
    const text = await Deno.readTextFile(path);
    for (const [, specifier] of text.matchAll(/import\("(\.[^"]+)"\)/g)) {
      later.add(join(dirname(path), specifier));
    }
  }
  later.delete(always);
  for (const path of later) {
    const line = `\nimport "./${relative(dirname(path), always)}";\n`;
    await Deno.writeTextFile(path, line, { append: true });
  }
}
