/**
 * Has the tools of others check the package.
 *
 * @module
 */

import { expect, tools } from "./report.ts";

/** Checks the package in `folder`, and its tarball, which was packed from it. */
export async function lint(folder: string, tarball: string): Promise<void> {
  const publint = await tools("publint@0.3.25");
  if (publint) {
    const program = publint("publint", "src", "cli.js");
    await expect("publint", {
      folder,
      command: "node",
      args: [program, folder, "--strict"],
      output: "All good!",
    });
  }
  const attw = await tools("@arethetypeswrong/cli@0.18.5");
  if (attw) {
    const program = attw("@arethetypeswrong", "cli", "dist", "index.js");
    // The package has ES modules only. Node loads them with require() since version 22.
    const flags = ["--ignore-rules", "cjs-resolves-to-esm", "--no-emoji"];
    await expect("are the types wrong", {
      folder,
      command: "node",
      args: [program, tarball, ...flags],
      output: "No problems found",
    });
  }
}
