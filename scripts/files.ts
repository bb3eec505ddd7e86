/**
 * The files of the project.
 *
 * @module
 */

import { join } from "node:path";

/** The root folder of the project. */
export const root = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** Yields the paths of all files below a folder, sorted. */
export async function* files(folder: string): AsyncGenerator<string> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  entries.sort((a, b) => a.name < b.name ? -1 : 1);
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) yield* files(path);
    else if (entry.isFile) yield path;
  }
}

/** Whether there is a file or a folder. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
