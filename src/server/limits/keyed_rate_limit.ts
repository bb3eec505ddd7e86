/**
 * How often each of many may do something.
 *
 * @module
 */

/** Keys that are remembered at most. */
const MAX_KEYS = 100_000;
/** What even the lowest rate allows at once. */
const MIN_BURST = 10;

/**
 * A token bucket for each key: `perSecond` in the long run, twice as many (at
 * least 10) at once. What was turned away does not count.
 *
 * A bucket is one number, the time at which it will be full again, and is
 * forgotten some time after that: not by a timer, but when the generation of
 * keys that it belongs to is dropped whole. Of more than 100,000 keys in such a
 * time the oldest are forgotten early, and so may have their burst once more:
 * who has that many addresses must not shut out those who have one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const rate = new RateLimit(5);
 * for (let i = 0; i < 10; i++) rate.take("192.0.2.1", 0);
 * assertEquals(rate.take("192.0.2.1", 0), false);
 * assertEquals(rate.take("192.0.2.1", 200), true);
 * ```
 */
export class KeyedRateLimit {
  /** As it was given. */
  readonly perSecond: number;
  /** Milliseconds for one token. */
  readonly #each: number;
  /** Milliseconds in which an empty bucket is full again. */
  readonly #all: number;
  readonly #maxPerGeneration: number;
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  #youngSince = -Infinity;

  /** `perSecond` is more than 0; not more than `maxKeys` keys are remembered. */
  constructor(perSecond: number, maxKeys: number = MAX_KEYS) {
    this.perSecond = perSecond;
    this.#each = 1000 / perSecond;
    this.#all = this.#each * Math.max(MIN_BURST, 2 * perSecond);
    this.#maxPerGeneration = Math.ceil(maxKeys / 2);
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Whether `key` may do it once more. `now` is in milliseconds of a clock that never goes back. */
  take(key: string, now: number): boolean {
    this.#forget(now);
    const known = this.#young.get(key) ?? this.#old.get(key) ?? now;
    const full = Math.max(known, now) + this.#each;
    if (full - now > this.#all + this.#each / 1000) return false; // as near as sums of fractions come
    this.#young.set(key, full);
    return true;
  }

  /** Drops a generation: whoever took nothing while the one after it was the young one has a full bucket. */
  #forget(now: number): void {
    const crowded = this.#young.size >= this.#maxPerGeneration;
    if (now - this.#youngSince < this.#all && !crowded) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngSince = now;
  }
}

/** A limit of so many: none for `Infinity`, and the one before if it is the same. */
export function keyedRateLimit(
  perSecond: number,
  before: KeyedRateLimit | undefined,
): KeyedRateLimit | undefined {
  if (perSecond === Infinity) return undefined;
  return before?.perSecond === perSecond
    ? before
    : new KeyedRateLimit(perSecond);
}
