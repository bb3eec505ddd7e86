/**
 * Programs of these tests on every runtime.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Runtime, runtime } from "../support/harness.ts";
import { missing, run, withFolder } from "./programs.ts";

/** The names of all runtimes. */
export const runtimes: readonly Runtime[] = ["deno", "bun", "node"];

/** A runtime with the version of Node.js. */
export type Version = "deno" | "bun" | `node${20 | 22 | 24 | 26}`;

/** The names of all runtimes and their versions. */
export const versions: readonly Version[] = [
  ...["deno", "bun"] as const,
  ...["node20", "node22", "node24", "node26"] as const,
];

/** The version that runs the tests. */
const version = runtime === "node"
  ? `node${process.versions.node.split(".")[0]}` as Version
  : runtime;

/**
 * The executable of a runtime: the one that runs the tests, one that the test runner names
 * in the environment, or one on the `PATH`.
 */
export function executable(name: Runtime | Version): string {
  if (name === runtime || name === version) return process.execPath;
  return process.env[name.toUpperCase()] ?? name;
}

/** Returns why a test cannot run if this runtime is missing. In CI such a test runs, and fails. */
export function missingRuntime(name: Runtime | Version): string | undefined {
  return missing(executable(name));
}

/**
 * The environment of this process. Unlike foreign programs, runtimes and npm get it,
 * because they need their caches and settings.
 */
export function environment(): Record<string, string> {
  const entries = Object.entries(process.env);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, value ?? ""]),
  );
}

/**
 * Installs npm packages into a folder of `.build/` unless they are there, and returns the
 * folder to load them from. Needs Deno, and the project's root as the working directory.
 */
export async function installed(...names: string[]): Promise<string> {
  const script = `
import { npmInstall } from "./scripts/npm_install.ts";
console.log(await npmInstall(...${JSON.stringify(names)}));`;
  const { code, stdout, stderr } = await run(
    executable("deno"),
    ["eval", "--quiet", script],
    { env: environment() },
  );
  if (code === 0 && stdout.startsWith("/")) return stdout.trim();
  throw new Error(`npm install ${names.join(" ")}: ${stderr}`);
}

/**
 * Calls `use` with the command that runs a `_program.ts` of this folder on a
 * runtime, as JavaScript in one file. If the tests run on Bun or Node, that file is
 * the bundle of the test: the test file must import the program before anything
 * else.
 */
export function withProgramOn<T>(
  name: Runtime | Version,
  program: string,
  use: (command: [string, ...string[]]) => Promise<T>,
  denoPermissions: readonly string[] = ["--allow-net"],
): Promise<T> {
  const flags = name === "deno" ? ["run", "--quiet", ...denoPermissions] : [];
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
