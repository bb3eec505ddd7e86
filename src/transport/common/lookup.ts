/**
 * Name resolution by the system's resolver. All three runtimes reach it through
 * `node:dns`; their native resolvers skip the hosts file or hide why they failed.
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

/**
 * Creates the `lookup()` of a transport. `threads` returns how many look-ups the
 * runtime runs at a time; it is called on the first look-up. Further ones wait
 * here, where they can be cancelled: a look-up of an unresponsive name occupies its
 * thread for seconds, and nothing can abort it.
 */
export function createLookup(threads: () => number): Transport["lookup"] {
  let semaphore: Semaphore | undefined;
  const answers = new NameCache(
    (hostname, signal) => {
      semaphore ??= new Semaphore(threads());
      return resolve(hostname, semaphore, signal);
    },
    { lifetime: LIFETIME },
  );
  return (hostname, signal) => answers.get(hostname, signal);
}

/** Returns the number of threads of libuv, which resolve names on Node.js and Bun. */
export function libuvThreads(): number {
  const { process } = globalThis as unknown as {
    process: { env: { UV_THREADPOOL_SIZE?: string } };
  };
  return Number(process.env.UV_THREADPOOL_SIZE) || 4;
}

let loading: Promise<typeof import("node:dns")> | undefined;

async function resolve(
  hostname: string,
  semaphore: Semaphore,
  signal: AbortSignalLike,
): Promise<string[]> {
  try {
    const { lookup } = await (loading ??= import("node:dns"));
    const found = await semaphore.run(
      () =>
        new Promise<{ address: string }[]>((resolve, reject) =>
          lookup(
            hostname,
            { all: true, verbatim: true },
            (error, addresses) => {
              if (error) reject(error);
              else resolve(addresses);
            },
          )
        ),
      signal,
    );
    if (found.length > 0) return found.map((entry) => entry.address);
  } catch (error) {
    throw toNetError(error, "dns");
  }
  throw new NetError("dns", `${hostname} has no address`);
}
