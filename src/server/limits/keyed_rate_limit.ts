/**
 * Limits how often each of many keys may do something.
 *
 * @module
 */

/** The maximum number of keys that are remembered. */
const MAX_KEYS = 100_000;
/** The burst that even the lowest rate allows. */
const MIN_BURST = 10;

/**
 * A token bucket for each key: `perSecond` in the long run, bursts of twice as
 * many (at least 10). A rejected attempt takes no token.
 *
 * A bucket is one number, the time at which it will be full again. It is
 * forgotten some time after that, without a timer: the generation of keys that
 * it belongs to is dropped as a whole. If more than 100,000 keys are used in
 * that time, the oldest are forgotten early and can have another burst: clients
 * with very many addresses must not lock out clients with one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const rate = new KeyedRateLimit(5);
 * for (let i = 0; i < 10; i++) rate.take("192.0.2.1", 0);
 * assertEquals(rate.take("192.0.2.1", 0), false);
 * assertEquals(rate.take("192.0.2.1", 200), true);
 * ```
 */
export class KeyedRateLimit {
  #perSecond!: number;
  /** Milliseconds per token. */
  #each!: number;
  /** Milliseconds until an empty bucket is full again. */
  #all!: number;
  readonly #maxPerGeneration: number;
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  #youngSince = -Infinity;

  /** `perSecond` is more than 0; at most `maxKeys` keys are remembered. */
  constructor(perSecond: number, maxKeys: number = MAX_KEYS) {
    this.perSecond = perSecond;
    this.#maxPerGeneration = Math.ceil(maxKeys / 2);
  }

  /** The rate; may be changed at any time. Each bucket still becomes full at the same time. */
  get perSecond(): number {
    return this.#perSecond;
  }

  set perSecond(perSecond: number) {
    this.#perSecond = perSecond;
    this.#each = 1000 / perSecond;
    this.#all = this.#each * Math.max(MIN_BURST, 2 * perSecond);
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /**
   * Takes a token of `key`; returns whether there was one. `now` is in milliseconds
   * and never goes back.
   */
  take(key: string, now: number): boolean {
    this.#forget(now);
    const known = this.#young.get(key) ?? this.#old.get(key) ?? now;
    const full = Math.max(known, now) + this.#each;
    if (full - now > this.#all + this.#each / 1000) return false; // allows for rounding errors
    this.#young.set(key, full);
    return true;
  }

  /**
   * Drops the old generation. Its keys have taken no token during the young one, so that
   * their buckets are full.
   */
  #forget(now: number): void {
    const crowded = this.#young.size >= this.#maxPerGeneration;
    if (now - this.#youngSince < this.#all && !crowded) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngSince = now;
  }
}
