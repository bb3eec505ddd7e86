/**
 * Dante's client, which sends the sockets of other programs through a SOCKS5 server.
 *
 * @module
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Output, run, type RunOptions, withFolder } from "./programs.ts";

/**
 * Runs a program whose `bind()`, `connect()`, `sendto()` and so on go to the
 * SOCKS5 server at a port of 127.0.0.1. Dante's library is preloaded and replaces
 * these functions of the C library, so it does not see other system calls:
 * `accept4()` (Python), `sendmmsg()` (programs over libuv, such as BIND's `dig`).
 * It does not handle IPv6.
 */
export function socksify(
  port: number,
  command: string,
  args: readonly string[],
  { route = "", library, ...options }: SocksifyOptions = {},
): Promise<Output> {
  return withFolder(async (folder) => {
    const config = join(folder, "socks.conf");
    await writeFile(config, configuration(port, route));
    const env = {
      ...options.env,
      SOCKS_CONF: config,
      SOCKS_AUTOADD_LANROUTES: "no", // without it, loopback is reached directly
    };
    if (library === undefined) {
      return run("socksify", [command, ...args], { ...options, env });
    }
    const preload = { ...env, LD_PRELOAD: library };
    return run(command, args, { ...options, env: preload });
  });
}

/** Options of {@linkcode socksify}. */
export interface SocksifyOptions extends RunOptions {
  /** More lines for the route to the server. */
  readonly route?: string;
  /** The path of Dante's library. By default Debian's, which has no GSSAPI. */
  readonly library?: string;
}

function configuration(port: number, route: string): string {
  return `
route {
  from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = ${port}
  proxyprotocol: socks_v5
  ${route}
}
`;
}
