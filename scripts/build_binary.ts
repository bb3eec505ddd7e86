/**
 * Builds the command as one executable file without dependencies, by Bun, from the
 * package in `npm/`. The arguments are targets such as `linux-arm64`; by default this
 * machine is the only one. Writes `binaries/socks5-VERSION-TARGET` and `SHA256SUMS`.
 *
 * @module
 */

import { basename, join } from "node:path";
import { root } from "./files.ts";
import { bin, emitted } from "./package_json.ts";
import { run } from "./run.ts";
import { findRuntime } from "./runtimes.ts";
import { readConfig } from "./stage.ts";

/** The targets that the command is built for; each is a package of Bun. */
const TARGETS: readonly string[] = [
  "linux-x64",
  "linux-x64-musl",
  "linux-arm64",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64",
];

/** The target of this machine. */
function thisTarget(): string {
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  return `${Deno.build.os}-${arch}`;
}

/**
 * The arguments of Bun that compile the module. Without the last two, the executable would
 * read `.env` and `bunfig.toml` of the folder in which it is started.
 */
export function compileFlags(module: string, outfile: string): string[] {
  return [
    "build",
    "--compile",
    module,
    `--outfile=${outfile}`,
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
  ];
}

/** Throws if a target is unknown. */
function checkTargets(targets: readonly string[]): void {
  const unknown = targets.find((it) => !TARGETS.includes(it));
  if (unknown === undefined) return;
  throw new Error(
    `unknown target ${JSON.stringify(unknown)}: use ${TARGETS.join(", ")}`,
  );
}

async function compile(
  bun: string,
  target: string,
  version: string,
): Promise<string> {
  const suffix = target.startsWith("windows") ? ".exe" : "";
  const name = `${bin.name}-${version}-${target}${suffix}`;
  const path = join(root, "binaries", name);
  const module = join(root, "npm", emitted(bin.path, ".js"));
  const own = target === thisTarget() ? [] : [`--target=bun-${target}`];
  const args = [...compileFlags(module, path), ...own];
  const { success, stdout, stderr } = await run(bun, args);
  if (!success) throw new Error(`${target} failed:\n${stdout}${stderr}`);
  return path;
}

async function sha256(path: string): Promise<string> {
  const bytes = await Deno.readFile(path);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return new Uint8Array(digest).toHex();
}

/** Builds the targets. Returns the paths of the executables. */
async function buildBinaries(
  targets: readonly string[],
): Promise<string[]> {
  checkTargets(targets);
  const bun = await findRuntime("bun");
  if (!bun) throw new Error("Bun is not available: set $BUN to its path");
  const { version } = await readConfig();
  await Deno.mkdir(join(root, "binaries"), { recursive: true });
  const paths: string[] = [];
  const sums: string[] = [];
  for (const target of targets) {
    const path = await compile(bun.path, target, version);
    const { size } = await Deno.stat(path);
    console.log(`binaries/${basename(path)} (${Math.round(size / 1e6)} MB)`);
    paths.push(path);
    sums.push(`${await sha256(path)}  ${basename(path)}\n`);
  }
  await Deno.writeTextFile(
    join(root, "binaries", "SHA256SUMS"),
    sums.join(""),
  );
  return paths;
}

if (import.meta.main) {
  try {
    await buildBinaries(Deno.args.length > 0 ? Deno.args : [thisTarget()]);
  } catch (error) {
    console.error(`build:binary: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
