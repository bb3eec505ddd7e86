/**
 * Who has which throttle: each session its own, and all sessions of a user one
 * together.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import type { RelayRateLimiter } from "../../transport/relay.ts";
import {
  RateLimiter,
  type UserRateLimiter,
  type Waiter,
} from "./rate_limiter.ts";

/** Octets per second; `Infinity` means no limit. */
export interface RateLimits {
  /** Of each session, both directions together. */
  readonly bytesPerSecondPerSession: number;
  /** Of all sessions of each user together. */
  readonly bytesPerSecondPerUser: number;
}

interface Shared<T> {
  readonly limiter: T;
  /** How many have joined and not parted. */
  count: number;
}

/** So many of those who are away are looked at whenever somebody joins or parts. */
const SWEPT_AT_ONCE = 2;

/**
 * The throttles of users. One that nobody needs is kept until it is as good as
 * a new one, for else who parts and joins again would have no debt and a burst
 * once more. It is then forgotten, not by a timer, but while others come and
 * go: for each one that may have to be kept several are looked at, so that not
 * many more are kept than have to be.
 */
export class UserRateLimiters<T extends UserRateLimiter> {
  readonly #make: (user: string) => T;
  readonly #users = new Map<string, Shared<T>>();
  /** Users that nobody has joined for. Who was looked at goes to the end. */
  readonly #idle = new Set<string>();

  constructor(make: (user: string) => T) {
    this.#make = make;
  }

  /** How many users have a throttle. */
  get size(): number {
    return this.#users.size;
  }

  /** The rate of all of them. */
  set rate(rate: number) {
    for (const { limiter } of this.#users.values()) limiter.rate = rate;
  }

  /** The throttle of a user, until {@linkcode release}. */
  acquire(user: string): T {
    this.#idle.delete(user);
    this.#sweep();
    let joined = this.#users.get(user);
    if (!joined) {
      joined = { limiter: this.#make(user), count: 0 };
      this.#users.set(user, joined);
    }
    joined.count++;
    return joined.limiter;
  }

  /** To be called once for each {@linkcode acquire}. */
  release(user: string): void {
    const joined = this.#users.get(user);
    if (!joined || --joined.count > 0) return;
    this.#retire(user);
    this.#sweep();
  }

  #sweep(): void {
    let looks = 0;
    for (const user of this.#idle) {
      if (looks++ === SWEPT_AT_ONCE) return;
      this.#idle.delete(user);
      this.#retire(user);
    }
  }

  /** Forgets a user, or lets it be away. */
  #retire(user: string): void {
    const { limiter } = this.#users.get(user)!;
    if (!limiter.settle()) return void this.#idle.add(user);
    this.#users.delete(user);
    limiter.close();
  }
}

/** Makes the throttle of a user. */
export type MakeUserRateLimiter = (
  user: string,
  rate: number,
) => UserRateLimiter;

/** The throttles of a server's sessions and users. A user without a session is forgotten as {@linkcode UserRateLimiters} says. */
export class RateLimiters {
  #limits: RateLimits;
  readonly #clock: Clock;
  readonly #users: UserRateLimiters<UserRateLimiter>;

  constructor(
    limits: RateLimits,
    clock: Clock = systemClock,
    throttleUser: MakeUserRateLimiter = (_, rate) =>
      new RateLimiter(rate, clock),
  ) {
    this.#limits = limits;
    this.#clock = clock;
    this.#users = new UserRateLimiters((user) =>
      throttleUser(user, this.#limits.bytesPerSecondPerUser)
    );
  }

  /** How many users have a throttle. */
  get size(): number {
    return this.#users.size;
  }

  /** The limits from now on. A session that is throttled already keeps its own rate, but not that of its user. */
  set limits(limits: RateLimits) {
    this.#limits = limits;
    this.#users.rate = limits.bytesPerSecondPerUser;
  }

  /** What holds back one more session, whose user may be nobody; `undefined` when nothing does. Must be closed with the session. */
  open(user?: string): SessionRateLimiter | undefined {
    const { bytesPerSecondPerSession, bytesPerSecondPerUser } = this.#limits;
    const throttles: UserRateLimiter[] = [];
    if (bytesPerSecondPerSession !== Infinity) {
      throttles.push(new RateLimiter(bytesPerSecondPerSession, this.#clock));
    }
    if (user === undefined || bytesPerSecondPerUser === Infinity) {
      if (throttles.length === 0) return undefined;
      return new SessionRateLimiter(throttles);
    }
    throttles.push(this.#users.acquire(user));
    return new SessionRateLimiter(throttles, () => this.#users.release(user));
  }
}

/** Lets one session's octets pass where all of its throttles do. */
export class SessionRateLimiter implements RelayRateLimiter {
  readonly #limiters: readonly UserRateLimiter[];
  readonly #onClose: (() => void) | undefined;
  readonly #waiters = new Map<Waiter, UserRateLimiter>();
  #closed = false;

  constructor(throttles: readonly UserRateLimiter[], onClose?: () => void) {
    this.#limiters = throttles;
    this.#onClose = onClose;
  }

  get slice(): number {
    return Math.min(...this.#limiters.map(({ slice }) => slice));
  }

  pass(octets: number): Promise<void> | undefined {
    return this.#pass(octets, 0);
  }

  /** Passes now or not at all, for datagrams. */
  tryPass(octets: number): boolean {
    if (!this.#limiters.every((it) => it.mayPass())) return false;
    for (const throttle of this.#limiters) throttle.consume(octets);
    return true;
  }

  /** Ends all waiting, and holds nothing back any more. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const [turn, throttle] of this.#waiters) throttle.cancel(turn);
    this.#onClose?.();
  }

  #pass(octets: number, first: number): Promise<void> | undefined {
    if (this.#closed) return undefined;
    for (let i = first; i < this.#limiters.length; i++) {
      const throttle = this.#limiters[i];
      const turn = throttle.enqueue(octets);
      if (turn) return this.#wait(turn, throttle, octets, i + 1);
    }
  }

  async #wait(
    turn: Waiter,
    throttle: UserRateLimiter,
    octets: number,
    next: number,
  ): Promise<void> {
    this.#waiters.set(turn, throttle);
    await turn.ready;
    this.#waiters.delete(turn);
    await this.#pass(octets, next);
  }
}
