/**
 * Copies the files that JSR gets into a new folder outside the project, where they
 * can be changed and packed without JSR.
 *
 * @module
 */

import { dirname, join, relative } from "node:path";
import { readmeFor } from "./readme/reader.ts";
import { files, root } from "./files.ts";

/** The parts of deno.json that the scripts read and change. */
export interface Config {
  name: string;
  version: string;
  license: string;
  exports: Record<string, string>;
  imports: Record<string, string>;
  publish: { include: string[] };
  /** The web address of the repository, for the npm package. */
  repository?: string;
  [key: string]: unknown;
}

/** Reads deno.json. */
export async function readConfig(): Promise<Config> {
  return JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
}

/** A temporary folder that is removed on disposal. */
export interface Stage extends AsyncDisposable {
  /** The folder with the published files. */
  folder: string;
  /** Returns the path of a sibling of the folder. */
  beside(name: string): string;
}

/** Copies the published files; `change` may modify deno.json before it is written. */
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
  const readme = join(folder, "README.md");
  const text = await Deno.readTextFile(readme);
  await Deno.writeTextFile(readme, readmeFor("jsr", text));
  change(config);
  await Deno.writeTextFile(join(folder, "deno.json"), JSON.stringify(config));
  return {
    folder,
    beside: (name) => join(temporary, name),
    [Symbol.asyncDispose]: () => Deno.remove(temporary, { recursive: true }),
  };
}
