/**
 * Runs programs that know nothing of proxies with the door `register`.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtime } from "../../support/harness.ts";
import type { Ended } from "../../support/spawn.ts";

/** The module that is loaded before the program. */
export const DOOR: URL = runtime === "deno"
  ? new URL("../../../src/doors/register/mod.ts", import.meta.url)
  : new URL("./program.js", import.meta.url);

/** The flag that loads it. */
const FLAGS = {
  deno: [`--preload=${DOOR.href}`],
  bun: [`--preload=${fileURLToPath(DOOR)}`],
  node: [`--import=${DOOR.href}`],
}[runtime];

/** How to run a program. */
export interface RunOptions {
  /** Environment variables; without those of proxies that this process may have. */
  readonly env?: Record<string, string>;
  /** More files beside the program: their contents by name. */
  readonly files?: Record<string, string>;
  /** A folder `node_modules` whose packages it may import. */
  readonly packages?: string;
}

/** Runs a program to its end, in a folder of its own; kills it after 60 s. */
export async function runRegistered(
  code: string,
  options: RunOptions = {},
): Promise<Ended> {
  const folder = await mkdtemp(join(tmpdir(), "socks5-register-"));
  const { files = {}, packages } = options;
  const program = join(folder, "app.mjs");
  try {
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(folder, name), text);
    }
    if (packages) await symlink(packages, join(folder, "node_modules"));
    await writeFile(program, code);
    const args = [...FLAGS, program];
    const deno = ["run", "--quiet", "--unstable-net", "--allow-all"];
    const all = runtime === "deno" ? [...deno, ...args] : args;
    return await ended(all, environment(options.env));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Without the settings of this process for its own runtime. */
function environment(env: Record<string, string> = {}) {
  const given = Object.entries(process.env).filter(([name]) =>
    !/_proxy$|^(NODE|BUN|NODE_V8)_OPTIONS$|^NODE_TEST|^SOCKS5_/i.test(name)
  );
  return {
    ...Object.fromEntries(given),
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
    ...env,
  };
}

function ended(
  args: string[],
  env: Record<string, string | undefined>,
): Promise<Ended> {
  const child = spawn(process.execPath, args, {
    env: env as Record<string, string>,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  return new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on(
      "close",
      (code, signal) => resolve({ code, signal, stdout, stderr }),
    );
  }).finally(() => clearTimeout(timer));
}
