/**
 * Names that are asked for more often than their answers change.
 *
 * @module
 */

import { type AbortSignalLike, AbortSwitch } from "./signal.ts";
import { NetError } from "./errors.ts";

interface Entry<T> {
  readonly found: Promise<T>;
  /** How many wait for it; those without a signal do so to the end. */
  waiting: number;
  readonly stop: AbortSwitch;
  /** When it is too old; not while there is no answer. */
  until: number;
}

/** Bounds of a {@linkcode NameCache}. */
export interface NameCacheOptions {
  /** Milliseconds that an answer is good for. */
  readonly lifetime: number;
  /** Names that are kept. @default {256} */
  readonly most?: number;
}

/** Looks a name up; the signal fires when nobody waits for it any more. */
export type LookUp<T> = (
  hostname: string,
  signal: AbortSignalLike,
) => Promise<T>;

/** Asks once for each name and a while, however many want to know; failures are asked for again. */
export class NameCache<T> {
  readonly #lookup: LookUp<T>;
  readonly #lifetime: number;
  readonly #most: number;
  readonly #entries = new Map<string, Entry<T>>();

  constructor(
    lookup: LookUp<T>,
    { lifetime, most = 256 }: NameCacheOptions,
  ) {
    this.#lookup = lookup;
    this.#lifetime = lifetime;
    this.#most = most;
  }

  /** The answer for a name; rejects as `lookup` does, for all who wait when the signals of all of them have fired. */
  get(hostname: string, signal?: AbortSignalLike): Promise<T> {
    const known = this.#entries.get(hostname);
    if (known && performance.now() < known.until) {
      return this.#wait(known, signal);
    }
    const stop = new AbortSwitch();
    const found = this.#lookup(hostname, stop);
    const fresh = { found, waiting: 0, stop, until: Infinity };
    this.#entries.delete(hostname); // so that the oldest stand first
    this.#entries.set(hostname, fresh);
    const forget = () => {
      if (this.#entries.get(hostname) === fresh) this.#entries.delete(hostname);
    };
    found.then(() => fresh.until = performance.now() + this.#lifetime, forget);
    stop.addEventListener("abort", forget);
    if (this.#entries.size > this.#most) {
      const [oldest] = this.#entries.keys();
      this.#entries.delete(oldest);
    }
    return this.#wait(fresh, signal);
  }

  #wait(entry: Entry<T>, signal?: AbortSignalLike): Promise<T> {
    const { found } = entry;
    entry.waiting++;
    if (!signal || entry.until !== Infinity) return found;
    const leave = () => {
      if (--entry.waiting === 0) entry.stop.abort(nobodyWaits());
    };
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave);
    const off = () => signal.removeEventListener("abort", leave);
    found.then(off, off);
    return found;
  }
}

function nobodyWaits(): NetError {
  return new NetError("aborted", "nobody waits for the name any more");
}
