/**
 * Names to addresses by the system's resolver, which all three runtimes reach
 * through `node:dns` (their native resolvers skip the hosts file or hide why
 * they failed).
 *
 * @module
 */

import { NameCache } from "../name_cache.ts";
import type { AbortSignalLike } from "../signal.ts";
import { NetError, toNetError } from "../errors.ts";
import { Semaphore } from "./semaphore.ts";

/** A client's many connections to one name ask once; who changes a name need not wait for it. */
const answers = new NameCache(ask, { lifetime: 1_000 });

/**
 * As many as the system answers at a time: names that nobody answers for keep
 * it busy for seconds, and what it was asked cannot be taken back.
 */
let turns: Semaphore | undefined;

/** Of libuv on Node.js and Bun, of tokio on Deno, where to look at `process` loads it. */
function threads(): number {
  if ("Deno" in globalThis) return 32;
  const { process } = globalThis as unknown as {
    process: { env: { UV_THREADPOOL_SIZE?: string } };
  };
  return Number(process.env.UV_THREADPOOL_SIZE) || 4;
}

/**
 * All addresses of `hostname` in the system's order; an IP literal is its own.
 * Who asks again within a second gets the same answer. Rejects with kind `dns`,
 * and with `aborted` when all who asked have left before it was its turn.
 */
export function lookup(
  hostname: string,
  signal?: AbortSignalLike,
): Promise<string[]> {
  return answers.get(hostname, signal);
}

let loading: Promise<typeof import("node:dns")> | undefined;

async function ask(
  hostname: string,
  signal: AbortSignalLike,
): Promise<string[]> {
  try {
    const { lookup } = await (loading ??= import("node:dns"));
    turns ??= new Semaphore(threads());
    const found = await turns.run(
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
