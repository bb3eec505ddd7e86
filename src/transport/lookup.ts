/**
 * Names to addresses by the system's resolver, which all three runtimes reach
 * through `node:dns` (their native resolvers skip the hosts file or hide why
 * they failed).
 *
 * @module
 */

import { NetError, toNetError } from "./transport.ts";

/** All addresses of `hostname` in the system's order; an IP literal is its own. Rejects with kind `dns`. */
export async function lookup(hostname: string): Promise<string[]> {
  try {
    const { lookup } = await import("node:dns");
    const found = await new Promise<{ address: string }[]>(
      (resolve, reject) =>
        lookup(hostname, { all: true, verbatim: true }, (error, addresses) => {
          if (error) reject(error);
          else resolve(addresses);
        }),
    );
    if (found.length > 0) return found.map((entry) => entry.address);
  } catch (error) {
    throw toNetError(error, "dns");
  }
  throw new NetError("dns", `${hostname} has no address`);
}
