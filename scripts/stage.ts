/**
 * Copies what is published into a new folder outside the project, where it can
 * be changed and packed as if JSR were at hand.
 *
 * @module
 */

import { dirname, join, relative } from "node:path";
import { files, root } from "./runtimes.ts";

/** The project's deno.json, as far as the scripts read and change it. */
export interface Config {
  name: string;
  version: string;
  license: string;
  exports: Record<string, string>;
  imports: Record<string, string>;
  publish: { include: string[] };
  [key: string]: unknown;
}

/** Reads the project's deno.json. */
export async function readConfig(): Promise<Config> {
  return JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
}

/** A folder of its own that is removed when it is disposed of. */
export interface Stage extends AsyncDisposable {
  /** What is published is in here. */
  folder: string;
  /** A folder beside it. */
  beside(name: string): string;
}

/** Copies what is published; `change` gets deno.json before it is written. */
export async function stage(change: (config: Config) => void): Promise<Stage> {
  const temporary = await Deno.makeTempDir();
  const folder = join(temporary, "package");
  const config = await readConfig();
  for (const entry of config.publish.include) {
    const source = join(root, entry);
    const stat = await Deno.stat(source).catch(() => undefined);
    if (stat === undefined) continue;
    const paths = stat.isFile ? [source] : files(source);
    for await (const path of paths) {
      const target = join(folder, relative(root, path));
      await Deno.mkdir(dirname(target), { recursive: true });
      await Deno.copyFile(path, target);
    }
  }
  change(config);
  await Deno.writeTextFile(join(folder, "deno.json"), JSON.stringify(config));
  return {
    folder,
    beside: (name) => join(temporary, name),
    [Symbol.asyncDispose]: () => Deno.remove(temporary, { recursive: true }),
  };
}
