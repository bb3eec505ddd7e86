/**
 * Installs packages from npm.
 *
 * @module
 */

import { join } from "node:path";
import { exists, root } from "./files.ts";
import { run } from "./run.ts";

/** Installs npm packages into a folder of `.build/`, once, and returns the folder. */
export async function npmInstall(
  ...packages: string[]
): Promise<string | undefined> {
  const folder = join(root, ".build", packages.join("+").replaceAll("/", "-"));
  if (await exists(folder)) return folder;
  console.error(`Installing ${packages.join(", ")} from npm`);
  await Deno.mkdir(join(root, ".build"), { recursive: true });
  // Install elsewhere and rename, so that concurrent runs do not conflict.
  const temporary = await Deno.makeTempDir({
    dir: join(root, ".build"),
    prefix: "install-",
  });
  try {
    const flags = [
      "--no-save",
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
      "--loglevel=error",
    ];
    const { success, stderr } = await run("npm", [
      "install",
      `--prefix=${temporary}`,
      ...flags,
      ...packages,
    ]);
    if (!success) {
      console.error(`npm install ${packages.join(" ")} failed:\n${stderr}`);
      return undefined;
    }
    await Deno.rename(temporary, folder).catch(async (error) => {
      if (!await exists(folder)) throw error;
    });
    return folder;
  } finally {
    await Deno.remove(temporary, { recursive: true }).catch(() => {});
  }
}
