/**
 * A cache for names that are looked up more often than their addresses change.
 *
 * @module
 */

import { type Clock, systemClock } from "./clock.ts";
import { type AbortSignalLike, AbortSwitch } from "./signal.ts";
import { NetError } from "./errors.ts";

interface Entry<T> {
  readonly answer: Promise<T>;
  /** How many callers wait for it. Callers without a signal never stop waiting. */
  waiting: number;
  readonly stop: AbortSwitch;
  /** When the answer expires; `Infinity` while there is none. */
  expires: number;
}

/** Options of a {@linkcode NameCache}. */
export interface NameCacheOptions {
  /** How long an answer is used, in milliseconds. */
  readonly lifetime: number;
  /** How many names are kept. @default {256} */
  readonly most?: number;
  /** The clock for `lifetime`. @default {systemClock} */
  readonly clock?: Clock;
}

/** Looks up a name; the signal fires when no caller waits for the answer. */
export type LookUp<T> = (
  hostname: string,
  signal: AbortSignalLike,
) => Promise<T>;

/** Looks up each name once per lifetime, for any number of callers. Failures are not kept. */
export class NameCache<T> {
  readonly #lookup: LookUp<T>;
  readonly #lifetime: number;
  readonly #most: number;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry<T>>();

  constructor(
    lookup: LookUp<T>,
    { lifetime, most = 256, clock = systemClock }: NameCacheOptions,
  ) {
    this.#lookup = lookup;
    this.#lifetime = lifetime;
    this.#most = most;
    this.#clock = clock;
  }

  /**
   * Returns the answer for a name. Rejects as `lookup` does. The look-up is aborted
   * when the signals of all callers that wait for it have fired.
   */
  get(hostname: string, signal?: AbortSignalLike): Promise<T> {
    const known = this.#entries.get(hostname);
    if (known && this.#clock.now() < known.expires) {
      return this.#wait(known, signal);
    }
    const stop = new AbortSwitch();
    const answer = this.#lookup(hostname, stop);
    const fresh = { answer, waiting: 0, stop, expires: Infinity };
    this.#entries.delete(hostname); // so that the map stays sorted by age
    this.#entries.set(hostname, fresh);
    const keep = () => {
      fresh.expires = this.#clock.now() + this.#lifetime;
    };
    const forget = () => {
      if (this.#entries.get(hostname) === fresh) this.#entries.delete(hostname);
    };
    answer.then(keep, forget);
    stop.addEventListener("abort", forget);
    if (this.#entries.size > this.#most) {
      const [oldest] = this.#entries.keys();
      this.#entries.delete(oldest);
    }
    return this.#wait(fresh, signal);
  }

  #wait(entry: Entry<T>, signal?: AbortSignalLike): Promise<T> {
    const { answer } = entry;
    entry.waiting++;
    if (!signal || entry.expires !== Infinity) return answer;
    const leave = () => {
      if (--entry.waiting === 0) entry.stop.abort(unwanted());
    };
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave);
    const off = () => signal.removeEventListener("abort", leave);
    answer.then(off, off);
    return answer;
  }
}

function unwanted(): NetError {
  return new NetError("aborted", "the look-up is no longer needed");
}
