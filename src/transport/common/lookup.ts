/**
 * Resolution of names and IP addresses by the system's resolver. All three runtimes reach
 * it through `node:dns`; their native resolvers skip the hosts file or hide why they failed.
 *
 * @module
 */

import { NameCache } from "../name_cache.ts";
import type { AbortSignalLike } from "../signal.ts";
import { NetError, toNetError } from "../errors.ts";
import type { Transport } from "../transport.ts";
import { Semaphore } from "./semaphore.ts";

/**
 * How long an answer is used, in milliseconds: long enough to save look-ups when a client
 * opens many connections to one name, and too short to delay a change of its addresses.
 */
const LIFETIME = 1_000;

type Resolver = Required<Pick<Transport, "lookup" | "reverse">>;

/**
 * Creates the `lookup()` and the `reverse()` of a transport. `threads` returns how many
 * look-ups the runtime runs at a time; it is called on the first look-up. Further ones
 * wait here, where they can be cancelled: a look-up of an unresponsive name occupies its
 * thread for seconds, and nothing can abort it.
 */
export function createResolver(threads: () => number): Resolver {
  let semaphore: Semaphore | undefined;
  function cached<T>(find: (subject: string) => Promise<T>): NameCache<T> {
    const answer = async (subject: string, signal: AbortSignalLike) => {
      semaphore ??= new Semaphore(threads());
      try {
        return await semaphore.run(() => find(subject), signal);
      } catch (error) {
        throw toNetError(error, "dns");
      }
    };
    return new NameCache(answer, { lifetime: LIFETIME });
  }
  const addresses = cached(addressesOf);
  const names = cached(nameOf);
  return {
    lookup: (hostname, signal) => addresses.get(hostname, signal),
    reverse: (address, signal) => names.get(address, signal),
  };
}

/** Returns the number of threads of libuv, which resolve names on Node.js and Bun. */
export function libuvThreads(): number {
  const { process } = globalThis as unknown as {
    process: { env: { UV_THREADPOOL_SIZE?: string } };
  };
  return Number(process.env.UV_THREADPOOL_SIZE) || 4;
}

let loading: Promise<typeof import("node:dns")> | undefined;

async function addressesOf(hostname: string): Promise<string[]> {
  const { lookup } = await (loading ??= import("node:dns"));
  const options = { all: true, verbatim: true } as const;
  const found = await new Promise<{ address: string }[]>((resolve, reject) =>
    lookup(hostname, options, (error, addresses) => {
      if (error) reject(error);
      else resolve(addresses);
    })
  );
  if (found.length > 0) return found.map((entry) => entry.address);
  throw new NetError("dns", `${hostname} has no address`);
}

/** Unlike `reverse()` of `node:dns`, `lookupService()` asks the system's resolver. */
async function nameOf(address: string): Promise<string> {
  const { lookupService } = await (loading ??= import("node:dns"));
  return await new Promise((resolve, reject) =>
    lookupService(address, 0, (error, hostname) => {
      if (error) reject(error);
      else resolve(hostname);
    })
  );
}
