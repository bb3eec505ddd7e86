/**
 * Names to addresses by the system's resolver, which all three runtimes reach
 * through `node:dns` (their native resolvers skip the hosts file or hide why
 * they failed).
 *
 * @module
 */

import { NameCache } from "./name_cache.ts";
import { NetError, toNetError } from "./transport.ts";

/** A client's many connections to one name ask once; who changes a name need not wait for it. */
const answers = new NameCache(ask, { lifetime: 1_000 });

/**
 * All addresses of `hostname` in the system's order; an IP literal is its own.
 * Who asks again within a second gets the same answer. Rejects with kind `dns`.
 */
export function lookup(hostname: string): Promise<string[]> {
  return answers.get(hostname);
}

let loading: Promise<typeof import("node:dns")> | undefined;

async function ask(hostname: string): Promise<string[]> {
  try {
    const { lookup } = await (loading ??= import("node:dns"));
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
