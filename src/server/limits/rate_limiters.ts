/**
 * Who has which throttle: each session its own, and all sessions of a user one
 * together.
 *
 * @module
 */

import type { RelayThrottle } from "../../transport/relay.ts";
import {
  CLOCK,
  type Clock,
  Throttle,
  type Turn,
  type UserThrottle,
} from "./rate_limiter.ts";

/** Octets per second; `Infinity` means no limit. */
export interface ThrottleLimits {
  /** Of each session, both directions together. */
  readonly octetsPerSecond: number;
  /** Of all sessions of each user together. */
  readonly octetsPerSecondPerUser: number;
}

interface Joined<T> {
  readonly throttle: T;
  /** How many have joined and not parted. */
  count: number;
}

/** So many of those who are away are looked at whenever somebody joins or parts. */
const LOOKS = 2;

/**
 * The throttles of users. One that nobody needs is kept until it is as good as
 * a new one, for else who parts and joins again would have no debt and a burst
 * once more. It is then forgotten, not by a timer, but while others come and
 * go: for each one that may have to be kept several are looked at, so that not
 * many more are kept than have to be.
 */
export class UserThrottles<T extends UserThrottle> {
  readonly #make: (user: string) => T;
  readonly #users = new Map<string, Joined<T>>();
  /** Users that nobody has joined for. Who was looked at goes to the end. */
  readonly #away = new Set<string>();

  constructor(make: (user: string) => T) {
    this.#make = make;
  }

  /** How many users have a throttle. */
  get size(): number {
    return this.#users.size;
  }

  /** The rate of all of them. */
  set rate(rate: number) {
    for (const { throttle } of this.#users.values()) throttle.rate = rate;
  }

  /** The throttle of a user, until {@linkcode part}. */
  join(user: string): T {
    this.#away.delete(user);
    this.#look();
    let joined = this.#users.get(user);
    if (!joined) {
      joined = { throttle: this.#make(user), count: 0 };
      this.#users.set(user, joined);
    }
    joined.count++;
    return joined.throttle;
  }

  /** To be called once for each {@linkcode join}. */
  part(user: string): void {
    const joined = this.#users.get(user);
    if (!joined || --joined.count > 0) return;
    this.#leave(user);
    this.#look();
  }

  #look(): void {
    let looks = 0;
    for (const user of this.#away) {
      if (looks++ === LOOKS) return;
      this.#away.delete(user);
      this.#leave(user);
    }
  }

  /** Forgets a user, or lets it be away. */
  #leave(user: string): void {
    const { throttle } = this.#users.get(user)!;
    if (!throttle.settle()) return void this.#away.add(user);
    this.#users.delete(user);
    throttle.close();
  }
}

/** Makes the throttle of a user. */
export type ThrottleUser = (user: string, rate: number) => UserThrottle;

/** The throttles of a server's sessions and users. A user without a session is forgotten as {@linkcode UserThrottles} says. */
export class Throttles {
  #limits: ThrottleLimits;
  readonly #clock: Clock;
  readonly #users: UserThrottles<UserThrottle>;

  constructor(
    limits: ThrottleLimits,
    clock: Clock = CLOCK,
    throttleUser: ThrottleUser = (_, rate) => new Throttle(rate, clock),
  ) {
    this.#limits = limits;
    this.#clock = clock;
    this.#users = new UserThrottles((user) =>
      throttleUser(user, this.#limits.octetsPerSecondPerUser)
    );
  }

  /** How many users have a throttle. */
  get size(): number {
    return this.#users.size;
  }

  /** The limits from now on. A session that is throttled already keeps its own rate, but not that of its user. */
  set limits(limits: ThrottleLimits) {
    this.#limits = limits;
    this.#users.rate = limits.octetsPerSecondPerUser;
  }

  /** What holds back one more session, whose user may be nobody; `undefined` when nothing does. Must be closed with the session. */
  open(user?: string): SessionThrottle | undefined {
    const { octetsPerSecond, octetsPerSecondPerUser } = this.#limits;
    const throttles: UserThrottle[] = [];
    if (octetsPerSecond !== Infinity) {
      throttles.push(new Throttle(octetsPerSecond, this.#clock));
    }
    if (user === undefined || octetsPerSecondPerUser === Infinity) {
      if (throttles.length === 0) return undefined;
      return new SessionThrottle(throttles);
    }
    throttles.push(this.#users.join(user));
    return new SessionThrottle(throttles, () => this.#users.part(user));
  }
}

/** Lets one session's octets pass where all of its throttles do. */
export class SessionThrottle implements RelayThrottle {
  readonly #throttles: readonly UserThrottle[];
  readonly #onClose: (() => void) | undefined;
  readonly #turns = new Map<Turn, UserThrottle>();
  #closed = false;

  constructor(throttles: readonly UserThrottle[], onClose?: () => void) {
    this.#throttles = throttles;
    this.#onClose = onClose;
  }

  get slice(): number {
    return Math.min(...this.#throttles.map(({ slice }) => slice));
  }

  pass(octets: number): Promise<void> | undefined {
    return this.#pass(octets, 0);
  }

  /** Passes now or not at all, for datagrams. */
  tryPass(octets: number): boolean {
    if (!this.#throttles.every((it) => it.mayPass())) return false;
    for (const throttle of this.#throttles) throttle.take(octets);
    return true;
  }

  /** Ends all waiting, and holds nothing back any more. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const [turn, throttle] of this.#turns) throttle.leave(turn);
    this.#onClose?.();
  }

  #pass(octets: number, first: number): Promise<void> | undefined {
    if (this.#closed) return undefined;
    for (let i = first; i < this.#throttles.length; i++) {
      const throttle = this.#throttles[i];
      const turn = throttle.queue(octets);
      if (turn) return this.#wait(turn, throttle, octets, i + 1);
    }
  }

  async #wait(
    turn: Turn,
    throttle: UserThrottle,
    octets: number,
    next: number,
  ): Promise<void> {
    this.#turns.set(turn, throttle);
    await turn.come;
    this.#turns.delete(turn);
    await this.#pass(octets, next);
  }
}
