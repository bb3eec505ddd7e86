/**
 * One rate limiter for all sessions of each user.
 *
 * @module
 */

import type { UserRateLimiter } from "./rate_limiter.ts";

interface Shared<T> {
  readonly limiter: T;
  /** How many times it has been acquired and not released. */
  count: number;
}

/** How many idle users are checked whenever a rate limiter is acquired or released. */
const SWEPT_AT_ONCE = 2;

/**
 * The rate limiters of users. One that is not in use is kept until it is equal to a new
 * one: otherwise a user who reconnects would have no debt and another burst. It is then
 * dropped without a timer: each time a rate limiter is acquired or released, a few idle
 * ones are checked, so that not many more are kept than necessary.
 */
export class UserRateLimiters<T extends UserRateLimiter> {
  readonly #make: (user: string, rate: number) => T;
  readonly #users = new Map<string, Shared<T>>();
  /** Users whose rate limiter is not in use. Those that were checked last are at the end. */
  readonly #idle = new Set<string>();

  constructor(make: (user: string, rate: number) => T) {
    this.#make = make;
  }

  /** How many users have a rate limiter. */
  get size(): number {
    return this.#users.size;
  }

  /** Changes the rate of all users. */
  update(rateOf: (user: string) => number): void {
    for (const [user, { limiter }] of this.#users) limiter.rate = rateOf(user);
  }

  /** The rate limiter of a user, until {@linkcode release}. */
  acquire(user: string, rate: number): T {
    this.#idle.delete(user);
    this.#sweep();
    let shared = this.#users.get(user);
    if (!shared) {
      shared = { limiter: this.#make(user, rate), count: 0 };
      this.#users.set(user, shared);
    } else if (shared.limiter.rate !== rate) shared.limiter.rate = rate;
    shared.count++;
    return shared.limiter;
  }

  /** Called once for each {@linkcode acquire}. */
  release(user: string): void {
    const shared = this.#users.get(user);
    if (!shared || --shared.count > 0) return;
    this.#retire(user);
    this.#sweep();
  }

  #sweep(): void {
    let checked = 0;
    for (const user of this.#idle) {
      if (checked++ === SWEPT_AT_ONCE) return;
      this.#idle.delete(user);
      this.#retire(user);
    }
  }

  /** Drops the rate limiter of a user, or keeps it as idle. */
  #retire(user: string): void {
    if (this.#users.get(user)!.limiter.settle()) this.#users.delete(user);
    else this.#idle.add(user);
  }
}
