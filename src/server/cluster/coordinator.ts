/**
 * The books of several servers.
 *
 * @module
 */

import { Lockout } from "../auth/lockout.ts";
import type { ConnectionLimits } from "../limits/connection_limiter.ts";
import { type CountedLimit, type LimitRequest, shared } from "./store.ts";
import { LocalKeyedLimit } from "../limits/keyed_limit.ts";
import {
  type KeyedRateLimit,
  keyedRateLimit,
} from "../limits/keyed_rate_limit.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import { RateLimiter, type Waiter } from "../limits/rate_limiter.ts";
import { UserRateLimiters } from "../limits/rate_limiters.ts";

/** The limits that hold for all servers together; `Infinity` means no limit. */
export interface CoordinatorLimits extends ConnectionLimits {
  /** UDP associations of each client address. */
  readonly associationsPerClient: number;
  /** Octets of each user. */
  readonly bytesPerSecondPerUser: number;
}

const COUNTED: readonly CountedLimit[] = [
  "sessions",
  "sessionsPerClient",
  "handshakesPerClient",
  "sessionsPerUser",
  "associationsPerClient",
];

/** Keeps the books for a number of servers, each with an account. */
export class Coordinator {
  /** Counts failed logins; to be replaced when the logins are others. */
  lockout: Lockout = new Lockout();
  readonly #servers: number;
  readonly #clock: Clock;
  readonly #quotas = Object.fromEntries(
    COUNTED.map((it) => [it, new LocalKeyedLimit(Infinity)]),
  ) as Record<CountedLimit, LocalKeyedLimit>;
  readonly #users: UserRateLimiters<RateLimiter>;
  #limits!: CoordinatorLimits;
  #rate: KeyedRateLimit | undefined;

  constructor(
    limits: CoordinatorLimits,
    servers: number,
    clock: Clock = systemClock,
  ) {
    this.#servers = servers;
    this.#clock = clock;
    this.#users = new UserRateLimiters(() =>
      new RateLimiter(this.#limits.bytesPerSecondPerUser, clock)
    );
    this.limits = limits;
  }

  /** The limits from now on. */
  set limits(limits: CoordinatorLimits) {
    this.#limits = limits;
    this.#rate = keyedRateLimit(
      limits.connectionsPerSecondPerClient,
      this.#rate,
    );
    for (const it of COUNTED) {
      this.#quotas[it].limit = shared(limits[it], this.#servers);
    }
    this.#users.rate = limits.bytesPerSecondPerUser;
  }

  /** How many keys and users are remembered. */
  get size(): number {
    const sizes = Object.values(this.#quotas).map(({ size }) => size);
    return sizes.reduce((sum, size) => sum + size, this.#users.size);
  }

  /** A server's account, to be closed with it. */
  open(): WorkerLimits {
    return new WorkerLimits(this);
  }

  /** Takes one of each or none; gives the first of which there is no more. */
  acquire(wants: readonly LimitRequest[]): LimitRequest[0] | null {
    for (const [what, key] of wants) {
      const hasRoom = what === "connectionsPerSecondPerClient" ||
        this.#quotas[what].hasRoom(key);
      if (!hasRoom) return what;
    }
    // Last: what was turned away does not count.
    for (const [what, key] of wants) {
      if (what !== "connectionsPerSecondPerClient") continue;
      if (this.#rate?.take(key, this.#clock.now()) === false) return what;
    }
    for (const [what, key] of wants) {
      if (what !== "connectionsPerSecondPerClient") {
        this.#quotas[what].acquire(key);
      }
    }
    return null;
  }

  /** Gives places back. */
  release(what: CountedLimit, key: string, count: number): void {
    this.#quotas[what].add(key, -count);
  }

  /** Takes places, whether they are there or not. */
  forceAcquire(what: CountedLimit, key: string, count: number): void {
    this.#quotas[what].add(key, count);
  }

  /** What holds the octets of a user back, until {@linkcode releaseUser}. */
  acquireUser(user: string): RateLimiter {
    return this.#users.acquire(user);
  }

  /** To be called once for each {@linkcode acquireUser}. */
  releaseUser(user: string): void {
    this.#users.release(user);
  }
}

/** What one server has taken, and its way to the books. */
export class WorkerLimits {
  readonly #coordinator: Coordinator;
  readonly #taken = Object.fromEntries(
    COUNTED.map((it) => [it, new LocalKeyedLimit(Infinity)]),
  ) as Record<CountedLimit, LocalKeyedLimit>;
  readonly #waiters = new Map<
    number,
    { turn: Waiter; throttle: RateLimiter }
  >();
  readonly #users = new Map<string, RateLimiter>();

  /** Made by {@linkcode Coordinator.open}. */
  constructor(ledger: Coordinator) {
    this.#coordinator = ledger;
  }

  /** See `SharedBooks`, as for all of these. */
  acquire(wants: readonly LimitRequest[]): LimitRequest[0] | null {
    const refused = this.#coordinator.acquire(wants);
    if (refused !== null) return refused;
    for (const [what, key] of wants) {
      if (what !== "connectionsPerSecondPerClient") {
        this.#taken[what].acquire(key);
      }
    }
    return null;
  }

  release(wants: readonly LimitRequest[]): void {
    for (const [what, key] of wants) {
      if (what === "connectionsPerSecondPerClient") continue;
      this.#taken[what].release(key);
      this.#coordinator.release(what, key, 1);
    }
  }

  forceAcquire([what, key]: LimitRequest, count: number): void {
    if (what === "connectionsPerSecondPerClient") return;
    this.#taken[what].add(key, count);
    this.#coordinator.forceAcquire(what, key, count);
  }

  async pass(ticket: number, user: string, octets: number): Promise<void> {
    const throttle = this.#throttleOf(user);
    const turn = throttle.enqueue(octets);
    if (!turn) return;
    this.#waiters.set(ticket, { turn, throttle });
    await turn.ready;
    this.#waiters.delete(ticket);
  }

  cancel(ticket: number): void {
    const waiting = this.#waiters.get(ticket);
    waiting?.throttle.cancel(waiting.turn);
  }

  releaseUser(user: string): void {
    if (this.#users.delete(user)) this.#coordinator.releaseUser(user);
  }

  isLocked(client: string): boolean {
    return this.#coordinator.lockout.isLocked(client);
  }

  failed(client: string): number {
    return this.#coordinator.lockout.failed(client);
  }

  succeeded(client: string): boolean {
    return this.#coordinator.lockout.succeeded(client);
  }

  /** Gives back all that its server has, which is gone. */
  close(): void {
    for (const [ticket] of this.#waiters) this.cancel(ticket);
    for (const user of this.#users.keys()) this.releaseUser(user);
    for (const what of COUNTED) {
      for (const [key, count] of this.#taken[what].entries()) {
        this.#coordinator.release(what, key, count);
      }
    }
  }

  #throttleOf(user: string): RateLimiter {
    let throttle = this.#users.get(user);
    if (!throttle) {
      this.#users.set(user, throttle = this.#coordinator.acquireUser(user));
    }
    return throttle;
  }
}
