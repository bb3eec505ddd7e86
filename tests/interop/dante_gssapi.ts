/**
 * Dante with GSSAPI, which Debian's packages do not have: `scripts/dante_gss.sh` builds it.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import process from "node:process";
import { isRoot, type Output, withFolder, withListening } from "./programs.ts";
import { missingRealm, type Realm } from "./realm.ts";
import { socksify, type SocksifyOptions } from "./socksify.ts";

// The tests run in the root folder of the project.
const folder = resolve(".build", "dante-gss");
const library = join(folder, "lib", "libdsocks.so");
const server = join(folder, "sbin", "sockd");

/** Returns why a test cannot run without these programs and Dante. */
export function missingDante(...names: string[]): string | undefined {
  const inCI = !["", "0", "false"].includes(process.env.CI ?? "");
  if (!inCI && !isRoot) return "needs root";
  return missingRealm(...names) ??
    (inCI || existsSync(server)
      ? undefined
      : "scripts/dante_gss.sh has not run");
}

/** Dante's words for the levels. */
const ENCTYPES = ["clear", "integrity", "confidentiality"] as const;

/** {@linkcode socksify} with GSSAPI at a level. */
export function socksifyByGssapi(
  { env }: Realm,
  level: 0 | 1 | 2,
  port: number,
  [command, ...args]: readonly string[],
  options: SocksifyOptions = {},
): Promise<Output> {
  const route = `method: gssapi
  gssapi.enctype: ${ENCTYPES[level]}`;
  return socksify(port, command, args, { ...options, env, route, library });
}

/** Runs `use` with Dante's server, which accepts these levels. */
export function withDante(
  { env, keytab }: Realm,
  levels: readonly (0 | 1 | 2)[],
  use: (port: number) => Promise<void>,
): Promise<void> {
  return withFolder(async (folder) => {
    const config = join(folder, "sockd.conf");
    const variables = Object.entries(env).map((it) => it.join("="));
    const argsFor = async (port: number) => {
      await writeFile(config, configuration(port, keytab, levels));
      return [...variables, server, "-f", config];
    };
    await withListening("env", argsFor, use);
  });
}

function configuration(
  port: number,
  keytab: string,
  levels: readonly (0 | 1 | 2)[],
): string {
  const enctypes = levels.map((it) => ENCTYPES[it]).join(" ");
  return `
logoutput: stderr
internal: 127.0.0.1 port = ${port}
external.protocol: ipv4 ipv6
external: lo
clientmethod: none
socksmethod: gssapi
user.privileged: root
user.unprivileged: root
client pass {
  from: 127.0.0.0/8 to: 0/0
  gssapi.keytab: FILE:${keytab}
  gssapi.enctype: ${enctypes}
}
socks pass {
  from: 0/0 to: 0/0
  gssapi.keytab: FILE:${keytab}
  gssapi.enctype: ${enctypes}
}
`;
}
