/**
 * The rate limiters of a server: one for each session, and one for all sessions
 * of each user.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import type { LimitValues } from "./limit_table.ts";
import { RateLimiter, type UserRateLimiter } from "./rate_limiter.ts";
import { SessionRateLimiter } from "./session_rate_limiter.ts";
import { UserRateLimiters } from "./user_rate_limiters.ts";

/** Bytes per second; `Infinity` means no limit. */
export type RateLimits = LimitValues<
  "bytesPerSecondPerSession" | "bytesPerSecondPerUser"
>;

/** Makes the rate limiter of a user. */
export type MakeUserRateLimiter = (
  user: string,
  rate: number,
) => UserRateLimiter;

/**
 * The rate limiters of a server's sessions and users. Users without a session are
 * forgotten by {@linkcode UserRateLimiters}.
 */
export class RateLimiters {
  #limits: RateLimits;
  readonly #clock: Clock;
  readonly #users: UserRateLimiters<UserRateLimiter>;
  /** The rate of a user who has one of the user's own. */
  rateOf: ((user: string) => number | undefined) | undefined = undefined;

  constructor(
    limits: RateLimits,
    clock: Clock = systemClock,
    makeUserRateLimiter: MakeUserRateLimiter = (_, rate) =>
      new RateLimiter(rate, clock),
  ) {
    this.#limits = limits;
    this.#clock = clock;
    this.#users = new UserRateLimiters(makeUserRateLimiter);
  }

  /** How many users have a rate limiter. */
  get size(): number {
    return this.#users.size;
  }

  /**
   * The limits from now on. A session that has a rate of its own keeps it; the
   * rates of users change.
   */
  set limits(limits: RateLimits) {
    this.#limits = limits;
    this.#users.update((user) => this.#rateOf(user));
  }

  /**
   * Creates the rate limiter of a new session, which may have a user; returns `undefined`
   * if nothing limits its rate. Close it when the session ends.
   */
  open(user?: string): SessionRateLimiter | undefined {
    const { bytesPerSecondPerSession } = this.#limits;
    const hasOwn = bytesPerSecondPerSession !== Infinity;
    const rate = user === undefined ? Infinity : this.#rateOf(user);
    const limitsUser = user !== undefined && rate !== Infinity;
    if (!hasOwn && !limitsUser) return undefined;
    const limiters: UserRateLimiter[] = [];
    if (hasOwn) {
      limiters.push(new RateLimiter(bytesPerSecondPerSession, this.#clock));
    }
    if (!limitsUser) return new SessionRateLimiter(limiters);
    limiters.push(this.#users.acquire(user, rate));
    return new SessionRateLimiter(limiters, () => this.#users.release(user));
  }

  #rateOf(user: string): number {
    return this.rateOf?.(user) ?? this.#limits.bytesPerSecondPerUser;
  }
}
