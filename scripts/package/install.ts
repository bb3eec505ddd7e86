/**
 * Packs the npm package and installs the tarball.
 *
 * @module
 */

import { join } from "node:path";
import { files, root } from "../files.ts";
import { run } from "../run.ts";
import { report } from "./report.ts";

/** Packs `npm/` and returns the path of the tarball. */
export async function pack(folder: string): Promise<string> {
  const args = [
    "pack",
    join(root, "npm"),
    "--json",
    `--pack-destination=${folder}`,
  ];
  const { success, stdout, stderr } = await run("npm", args);
  if (!success) throw new Error(`npm pack failed:\n${stderr}`);
  const [{ filename }] = JSON.parse(stdout);
  return join(folder, filename);
}

/** Installs the tarball into a new project. */
export async function install(folder: string, tarball: string): Promise<void> {
  await Deno.writeTextFile(
    join(folder, "package.json"),
    JSON.stringify({ name: "consumer", private: true, type: "module" }),
  );
  const flags = [
    "--offline",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ];
  const installed = await run("npm", ["install", ...flags, tarball], {
    cwd: folder,
  });
  if (!installed.success) {
    throw new Error(`npm install failed:\n${installed.stderr}`);
  }
  const names: string[] = [];
  for await (const { name } of Deno.readDir(join(folder, "node_modules"))) {
    if (!name.startsWith(".")) names.push(name);
  }
  report(
    "installs nothing else",
    names.length === 1 ? undefined : names.join("\n"),
  );
}

/** Returns the problems of the files of the package. */
export async function contents(folder: string): Promise<string | undefined> {
  const wrong: string[] = [];
  const json = JSON.parse(
    await Deno.readTextFile(join(folder, "package.json")),
  );
  for (const kind of ["dependencies", "optionalDependencies"]) {
    if (Object.keys(json[kind] ?? {}).length > 0) wrong.push(`it has ${kind}`);
  }
  for (const name of Object.keys(json.peerDependencies ?? {})) {
    if (json.peerDependenciesMeta?.[name]?.optional === true) continue;
    wrong.push(`it needs ${name}`);
  }
  for (const kind of ["preinstall", "install", "postinstall"]) {
    if (json.scripts?.[kind]) wrong.push(`it runs a script at ${kind}`);
  }
  for await (const path of files(folder)) {
    const name = path.slice(folder.length + 1);
    if (/(?<!\.d)\.ts$/.test(name)) wrong.push(`${name} is not compiled`);
    const text = await Deno.readTextFile(path);
    if (/\bfile:\/\/\/|\bfrom "(jsr|npm|https):/.test(text)) {
      wrong.push(`${name} refers to a file outside the package`);
    }
  }
  return wrong.length > 0 ? wrong.join("\n") : undefined;
}
