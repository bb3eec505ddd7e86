/**
 * Puts the modules of the command line, and what it uses of the library, into
 * a few files: to load them one by one takes as long as all else until the
 * server listens. The library's own modules are left as they are.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { files, run } from "./runtimes.ts";

/**
 * Replaces the folder of `entries`, modules of the package in the folder `out`,
 * by the files that they need: one for what is always needed, and some for what
 * is loaded later, if at all.
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
 * Has every module that is loaded later import the one at `always`, which is
 * there by then. The bundler makes a file of the modules that the same ones of
 * them need: now all need the same, but for what is their own.
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
