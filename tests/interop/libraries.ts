/**
 * Loads packages of npm, which the tests install.
 *
 * @module
 */

import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { runtime } from "../support/harness.ts";
import { run, withFolder } from "./programs.ts";
import { environment, installed } from "./runtimes.ts";

/** A package, without types here. */
// deno-lint-ignore no-explicit-any
export type Library = any;

/**
 * Loads a package that has CommonJS, which all runtimes load from any folder, with `others`
 * (such as `socks@2.8.11`) beside it.
 */
export async function load(
  name: string,
  version: string,
  ...others: string[]
): Promise<Library> {
  const folder = await installed(`${name}@${version}`, ...others);
  const library = createRequire(`${folder}/package.json`)(name);
  return library.default ?? library; // Bun returns the ES module if there is one
}

/** Loads a package of ES modules: Deno finds its dependencies only for a bundler. */
export async function loadModule(
  name: string,
  version: string,
): Promise<Library> {
  const folder = await installed(`${name}@${version}`);
  if (runtime !== "deno") {
    return createRequire(`${folder}/package.json`)(name).default;
  }
  return await withFolder(async (temporary) => {
    const output = join(temporary, "bundle.mjs");
    const entry = join(folder, "node_modules", name, "index.js");
    const flags = ["--quiet", "--node-modules-dir=manual", "--platform=deno"];
    const { code, stderr } = await run(
      process.execPath,
      ["bundle", ...flags, "--output", output, entry],
      { env: environment(), cwd: folder },
    );
    if (code !== 0) throw new Error(`deno bundle: ${stderr}`);
    return (await import(pathToFileURL(output).href)).default;
  });
}
