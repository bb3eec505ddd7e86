/**
 * Dante's client: other programs with their sockets sent through a SOCKS5 server.
 *
 * @module
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Output, run, type RunOptions, withFolder } from "./programs.ts";

/**
 * Runs a program whose `bind()`, `connect()`, `sendto()` and so on go to the
 * SOCKS5 server at this port of 127.0.0.1. It is preloaded, so it does not see
 * what comes to the kernel past those functions of the C library: `accept4()`
 * (Python), `sendmmsg()` (whatever is built on libuv, such as BIND's `dig`). And
 * it leaves IPv6 alone.
 */
export function socksify(
  port: number,
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Output> {
  return withFolder(async (folder) => {
    const config = join(folder, "socks.conf");
    await writeFile(config, configuration(port));
    const env = {
      SOCKS_CONF: config,
      SOCKS_AUTOADD_LANROUTES: "no", // or it reaches loopback directly
    };
    return run("socksify", [command, ...args], { ...options, env });
  });
}

function configuration(port: number): string {
  return `
route {
  from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = ${port}
  proxyprotocol: socks_v5
}
`;
}
