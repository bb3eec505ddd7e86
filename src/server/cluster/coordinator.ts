/**
 * The store that a process keeps for its servers or workers.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import { Lockout, type LoginGuard } from "../auth/lockout.ts";
import { KeyedCount } from "../limits/keyed_limit.ts";
import { KeyedRateLimit } from "../limits/keyed_rate_limit.ts";
import { RateLimiter, type Waiter } from "../limits/rate_limiter.ts";
import type { Limits } from "../limits/limits.ts";
import { UserRateLimiters } from "../limits/user_rate_limiters.ts";
import type {
  LimitRequest,
  LimitSlot,
  PassRequest,
  RateRequest,
  SharedLimitsStore,
} from "./store.ts";

/** The store of one server or worker, kept by a {@linkcode Coordinator}. */
export interface WorkerLimits extends SharedLimitsStore, LoginGuard {
  /** Grants all of the requests or none; see {@linkcode SharedLimitsStore.acquire}. */
  acquire(requests: readonly LimitRequest[]): keyof Limits | null;
  /** Releases a slot; does nothing if this server does not hold it. */
  release(slot: LimitSlot): void;
  /** Counts slots as acquired, even beyond the limit. */
  forceAcquire(slot: LimitSlot, count: number): void;
  /** Resolves when the bytes may pass, or when the request is cancelled. */
  pass(request: PassRequest): Promise<void>;
  /** Cancels the pending request with this ticket. */
  cancel(ticket: number): void;
  /** Whether logins of the client fail now, because of failed logins on any server. */
  isLocked(client: string): boolean;
  /** Counts a failed login; returns how long to delay the answer, in milliseconds. */
  failed(client: string): number;
  /** Accepts a successful login; returns `false` if it fails because the client is locked out. */
  succeeded(client: string): boolean;
  /** Releases everything that the server holds, after its end. */
  close(): void;
}

/** The state that all workers share. */
interface Shared {
  readonly clock: Clock;
  readonly counts: KeyedCount;
  readonly rates: Map<string, KeyedRateLimit>;
  readonly users: UserRateLimiters<RateLimiter>;
  lockout: Lockout;
}

/**
 * Counts for several servers in this process, or for workers that reach it
 * through messages. Each has its own store, so that everything it holds can be
 * released if it crashes.
 *
 * @example Two servers in one process that also count failed logins together
 * ```ts
 * import { Coordinator } from "@x/socks5/cluster";
 * import { serve, userPass } from "@x/socks5/server";
 *
 * const coordinator = new Coordinator();
 * const start = () => {
 *   const store = coordinator.open();
 *   return serve({
 *     port: 0,
 *     auth: [userPass({ alice: "correct horse" }, { guard: store })],
 *     limits: { sessionsPerUser: 5, associationsPerClient: 10 },
 *     sharedLimits: { store, servers: 2 },
 *   });
 * };
 * await using first = await start();
 * await using second = await start();
 * console.log(first.addr.port, second.addr.port);
 * ```
 */
export class Coordinator {
  readonly #shared: Shared;

  /** Creates a coordinator without acquired slots. */
  constructor(clock: Clock = systemClock) {
    this.#shared = {
      clock,
      counts: new KeyedCount(),
      rates: new Map(),
      users: new UserRateLimiters((_, rate) => new RateLimiter(rate, clock)),
      lockout: new Lockout({ clock }),
    };
  }

  /** Counts the failed logins on all servers. Replacing it forgets them. */
  get lockout(): Lockout {
    return this.#shared.lockout;
  }

  set lockout(lockout: Lockout) {
    this.#shared.lockout = lockout;
  }

  /** How many keys of slots, and how many users, are remembered. */
  get size(): number {
    return this.#shared.counts.size + this.#shared.users.size;
  }

  /** Opens a store for one server. Close it if the server ends without releasing everything. */
  open(): WorkerLimits {
    return new CoordinatedLimits(this.#shared);
  }
}

interface Pending {
  readonly waiter: Waiter;
  readonly limiter: RateLimiter;
}

class CoordinatedLimits implements WorkerLimits {
  readonly #shared: Shared;
  readonly #held = new KeyedCount();
  readonly #pending = new Map<number, Pending>();

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  acquire(requests: readonly LimitRequest[]): keyof Limits | null {
    const { counts } = this.#shared;
    for (const it of requests) {
      if ("max" in it && counts.countOf(idOf(it)) >= it.max) return it.limit;
    }
    // Last, because a client that is rejected for another limit takes no token.
    for (const it of requests) {
      if ("perSecond" in it && !this.#takeToken(it)) return it.limit;
    }
    for (const it of requests) if ("max" in it) this.#add(idOf(it), 1);
    return null;
  }

  release(slot: LimitSlot): void {
    const id = idOf(slot);
    if (this.#held.countOf(id) > 0) this.#add(id, -1);
  }

  forceAcquire(slot: LimitSlot, count: number): void {
    this.#add(idOf(slot), count);
  }

  async pass({ ticket, user, bytes, perSecond }: PassRequest): Promise<void> {
    const { users } = this.#shared;
    const limiter = users.acquire(user, perSecond);
    try {
      const waiter = limiter.enqueue(bytes);
      if (!waiter) return;
      this.#pending.set(ticket, { waiter, limiter });
      await waiter.ready;
    } finally {
      this.#pending.delete(ticket);
      users.release(user);
    }
  }

  cancel(ticket: number): void {
    const pending = this.#pending.get(ticket);
    pending?.limiter.cancel(pending.waiter);
  }

  isLocked(client: string): boolean {
    return this.#shared.lockout.isLocked(client);
  }

  failed(client: string): number {
    return this.#shared.lockout.failed(client);
  }

  succeeded(client: string): boolean {
    return this.#shared.lockout.succeeded(client);
  }

  close(): void {
    for (const [ticket] of this.#pending) this.cancel(ticket);
    for (const [id, count] of this.#held.entries()) this.#add(id, -count);
  }

  #add(id: string, count: number): void {
    this.#held.add(id, count);
    this.#shared.counts.add(id, count);
  }

  #takeToken({ limit, key, perSecond }: RateRequest): boolean {
    const { rates, clock } = this.#shared;
    let rate = rates.get(limit);
    if (!rate) rates.set(limit, rate = new KeyedRateLimit(perSecond));
    // The rate of the server that was updated last applies.
    if (rate.perSecond !== perSecond) rate.perSecond = perSecond;
    return rate.take(key, clock.now());
  }
}

function idOf({ limit, key }: LimitSlot): string {
  return `${limit} ${key}`;
}
