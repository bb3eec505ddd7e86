/**
 * The servers that are compared: ours on each runtime, and the available servers
 * of others.
 *
 * @module
 */

import { join } from "node:path";
import { root } from "../files.ts";
import { npmInstall } from "../npm_install.ts";
import { run } from "../run.ts";
import type { Runtime } from "../runtimes.ts";
import { stdFlags } from "../std.ts";
import type { Subject } from "./figures.ts";

/** A server that can be started. */
export interface Server extends Subject {
  /** Returns the command and its arguments. The folder is for its files. */
  command(port: number, folder: string): Promise<string[]> | string[];
  /** The command of an empty program on the same runtime. */
  empty?: string[];
}

/** The npm packages and their versions. */
const packages = {
  "@heroku/socksv5": "0.0.9",
  "@pondwader/socks5-server": "1.0.10",
  "node-socks5-server": "1.1.0",
  "simple-socks": "3.6.0",
};

/** Formats a runtime and its version: `Node 24.21.0`. */
export function runtimeTitle({ name, version }: Runtime): string {
  const plain = name.replace(/\d+$/, "");
  return `${plain[0].toUpperCase()}${plain.slice(1)} ${version}`;
}

/** Returns the command that starts a program; on Deno with all permissions. */
function start(runtime: Runtime): string[] {
  return runtime.name === "deno"
    ? [runtime.path, "run", "-A", "--quiet", "--node-modules-dir=manual"]
    : [runtime.path];
}

/** Writes an empty program into the folder. */
async function emptyProgram(folder: string): Promise<string> {
  const path = join(folder, "empty.mjs");
  await Deno.writeTextFile(path, "");
  return path;
}

/** The flags of `deno task serve`. */
const SERVE = [
  "--v8-flags=--max-semi-space-size=4",
  "--allow-net",
  "--allow-read",
  "--unstable-net",
];

/** Returns the command of our server: the sources on Deno, the npm package elsewhere. */
export async function ours(runtime: Runtime): Promise<string[]> {
  const flags = ["--hostname", "127.0.0.1", "--log", "off"];
  if (runtime.name !== "deno") {
    const json = await Deno.readTextFile(join(root, "npm", "package.json"));
    const [bin] = Object.values<string>(JSON.parse(json).bin);
    return [runtime.path, join(root, "npm", bin), ...flags];
  }
  const std = (await stdFlags()).map((it) => it.replace("=", `=${root}/`));
  const entry = join(root, "src", "server", "mod.ts");
  return [runtime.path, "run", "--quiet", ...SERVE, ...std, entry, ...flags];
}

/** Builds the npm package for Bun and Node. */
export async function buildPackage(): Promise<void> {
  const args = ["run", "-A", ...await stdFlags(), "scripts/build_npm.ts"];
  const { success, stderr } = await run(Deno.execPath(), args);
  if (!success) throw new Error(`the package cannot be built:\n${stderr}`);
}

async function ourServers(
  runtimes: readonly Runtime[],
  folder: string,
): Promise<Server[]> {
  const empty = await emptyProgram(folder);
  return await Promise.all(runtimes.map(async (runtime) => {
    const command = await ours(runtime);
    return {
      id: `ours@${runtime.name}`,
      name: "socks5",
      runtime: runtimeTitle(runtime),
      isOurs: true,
      command: (port) => [...command, "--port", `${port}`],
      empty: [...start(runtime), empty],
    } satisfies Server;
  }));
}

/** Other servers from npm on each runtime; a measurement shows whether they work. */
async function npmPeers(
  runtimes: readonly Runtime[],
  isWanted: (id: string) => boolean,
  emptyFolder: string,
): Promise<Server[]> {
  const empty = await emptyProgram(emptyFolder);
  const found: Server[] = [];
  for (const [name, version] of Object.entries(packages)) {
    const short = name.replace(/^@(.*)\/.*/, "$1");
    const wanted = runtimes.filter((it) => isWanted(`${short}@${it.name}`));
    if (wanted.length === 0) continue;
    const folder = await npmInstall(`${name}@${version}`);
    if (folder === undefined) continue;
    const program = join(root, "scripts", "bench", "peer.mjs");
    found.push(...wanted.map((runtime) => ({
      id: `${short}@${runtime.name}`,
      name: `${name} ${version}`,
      runtime: runtimeTitle(runtime),
      isOurs: false,
      command: (port: number) => [
        ...start(runtime),
        ...[program, folder, name, `${port}`],
      ],
      empty: [...start(runtime), empty],
    })));
  }
  return found;
}

const dantedConfig = (port: number) => `
logoutput: /dev/null
internal: 127.0.0.1 port = ${port}
external: lo
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: nobody
client pass { from: 0/0 to: 0/0 }
socks pass { from: 0/0 to: 0/0 }
`;

const programs: Record<string, Server["command"]> = {
  microsocks: (port) => ["microsocks", "-i", "127.0.0.1", "-p", `${port}`],
  async danted(port, folder) {
    const config = join(folder, "danted.conf");
    await Deno.writeTextFile(config, dantedConfig(port));
    return ["danted", "-f", config, "-p", join(folder, "danted.pid")];
  },
};

/** The installed servers of Debian. */
async function programPeers(
  isWanted: (id: string) => boolean,
): Promise<Server[]> {
  const debian = { microsocks: "microsocks", danted: "dante-server" };
  const found: Server[] = [];
  for (const [id, name] of Object.entries(debian)) {
    const isThere = (await run("sh", ["-c", `command -v ${id}`])).success;
    if (!isThere || !isWanted(id)) continue;
    const asked = await run("dpkg-query", ["-W", "-f", "${Version}", name]);
    const version = /^(\d+:)?([\d.]+\d)/.exec(asked.stdout)?.[2];
    found.push({
      id,
      name: version ? `${id} ${version}` : id,
      isOurs: false,
      command: programs[id],
    });
  }
  return found;
}

/** Returns the wanted servers that are available; the folder is for their files. */
export async function findServers(
  runtimes: readonly Runtime[],
  isWanted: (id: string) => boolean,
  folder: string,
): Promise<Server[]> {
  const forOurs = runtimes.filter((it) => isWanted(`ours@${it.name}`));
  if (forOurs.some((it) => it.name !== "deno")) await buildPackage();
  return [
    ...await ourServers(forOurs, folder),
    ...await npmPeers(runtimes, isWanted, folder),
    ...await programPeers(isWanted),
  ];
}
