/**
 * Programs of ours on the other runtimes.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Runtime, runtime } from "../support/harness.ts";
import { missing, run, withFolder } from "./programs.ts";

/** All of them. */
export const runtimes: readonly Runtime[] = ["deno", "bun", "node"];

/** The executable of a runtime: of the one that runs the tests, or of one on the `PATH`. */
export function executable(name: Runtime): string {
  return name === runtime ? process.execPath : name;
}

/** Why a test that needs this runtime can't run here; in CI it runs, and fails. */
export function missingRuntime(name: Runtime): string | undefined {
  return name === runtime ? undefined : missing(name);
}

/** This process's own environment: unlike others' programs, runtimes and npm may use their caches and settings. */
export function environment(): Record<string, string> {
  const entries = Object.entries(process.env);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, value ?? ""]),
  );
}

/**
 * Installs an npm package into `.build/`, once, and gives the folder to load it
 * from; needs Deno, and the project's root as the working folder.
 */
export async function installed(name: string): Promise<string> {
  const script = `
import { npmInstall } from "./scripts/runtimes.ts";
console.log(await npmInstall(${JSON.stringify(name)}));`;
  const { code, stdout, stderr } = await run(
    executable("deno"),
    ["eval", "--quiet", script],
    { env: environment() },
  );
  if (code === 0 && stdout.startsWith("/")) return stdout.trim();
  throw new Error(`npm install ${name}: ${stderr}`);
}

/**
 * Calls with the command that runs a `_program.ts` of this folder on a runtime,
 * as JavaScript in one file. On Bun and Node that is the test's own bundle: the
 * test file must import the program before anything else.
 */
export function withProgramOn<T>(
  name: Runtime,
  program: string,
  use: (command: [string, ...string[]]) => Promise<T>,
): Promise<T> {
  const flags = name === "deno" ? ["run", "--quiet", "--allow-net"] : [];
  return withFolder(async (folder) => {
    const file = runtime === "deno"
      ? await bundle(program, folder)
      : fileURLToPath(import.meta.url);
    return await use([executable(name), ...flags, file, `run-${program}`]);
  });
}

async function bundle(program: string, folder: string): Promise<string> {
  const file = join(folder, `${program}.mjs`);
  const source = new URL(`./${program}_program.ts`, import.meta.url);
  const { code, stderr } = await run(
    process.execPath,
    [
      ...["bundle", "--quiet", "--platform=deno"],
      ...["--output", file, fileURLToPath(source)],
    ],
    { env: environment() },
  );
  if (code !== 0) throw new Error(`deno bundle: ${stderr}`);
  return file;
}
