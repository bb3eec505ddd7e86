/**
 * A store in Redis for the limits of several machines.
 *
 * @module
 */

import type {
  UsageReport,
  UsageStore,
  UserTotals,
} from "../server/accounting/usage_store.ts";
import type {
  LockedClient,
  LockoutOptions,
  LoginGuard,
} from "../server/auth/lockout.ts";
import type {
  LimitRequest,
  LimitSlot,
  PassRequest,
  SharedLimitsStore,
} from "../server/cluster/store.ts";
import type { Limits } from "../server/limits/limits.ts";
import { type Clock, systemClock } from "../transport/clock.ts";
import type { Timeout } from "../transport/timeouts.ts";
import type { RedisClient } from "./client.ts";
import { Link, RedisAway } from "./link.ts";
import { KeyNames } from "./names.ts";
import { openClient } from "./open_client.ts";
import type { RedisStoreOptions } from "./options.ts";
import {
  parseRedisUrl,
  type RedisAddress,
  withoutPassword,
} from "./redis_url.ts";
import { SharedLockout } from "./shared_lockout.ts";
import { SharedRates } from "./shared_rates.ts";
import { SharedUsage } from "./shared_usage.ts";
import { SlotCounter } from "./slot_counter.ts";

/** The shortest lease, in milliseconds. */
const MIN_LEASE = 300;
const MAX = 2 ** 31 - 1;

/** The state of a store, without the names of users and clients. */
export interface RedisStoreState {
  /** Whether Redis is reachable. */
  readonly isUp: boolean;
  /** How often it did not answer, or could not be reached. */
  readonly errors: number;
}

/**
 * Counts in Redis (5 or later) or Valkey, for the servers of any number of machines: slots,
 * rates, failed logins and usage. {@linkcode redisStore} makes one.
 *
 * Slots are exact: all of a request's are granted, or none. A node that crashes loses its
 * slots after its lease; one that was only suspended declares them again. While Redis is
 * not reachable, nothing waits for it: the node counts for itself, and declares what it
 * holds when Redis is back, even if Redis has lost everything.
 */
export class RedisStore implements SharedLimitsStore, LoginGuard, UsageStore {
  readonly #options: RedisStoreOptions;
  readonly #clock: Clock;
  readonly #names: KeyNames;
  readonly #link: Link;
  readonly #slots: SlotCounter;
  readonly #rates: SharedRates;
  readonly #usage: SharedUsage;
  readonly #interval: number;
  #lockout: SharedLockout;
  #next: Timeout | undefined;
  readonly #first: Promise<void>;
  #hasStarted = false;
  #isClosed = false;

  /** Use {@linkcode redisStore}. */
  constructor(options: RedisStoreOptions) {
    const { lease = 10_000, timeout = 500, prefix = "socks5" } = options;
    checkNumber("lease", lease, MIN_LEASE);
    checkNumber("timeout", timeout, 1);
    this.#options = options;
    const { strict = false, clock = systemClock } = options;
    this.#clock = clock;
    this.#interval = Math.floor(lease / 3);
    this.#names = new KeyNames(prefix);
    this.#link = new Link({
      ...opening(options, timeout, clock),
      timeout,
      clock,
      onLost: (error) => options.onLost?.(error),
      onFound: () => options.onFound?.(),
    });
    const parts = { link: this.#link, names: this.#names, strict, clock };
    const node = options.node ?? crypto.randomUUID();
    this.#slots = new SlotCounter({ ...parts, node, lease });
    this.#rates = new SharedRates(parts);
    this.#usage = new SharedUsage(parts);
    this.#lockout = this.#newLockout(options);
    this.#first = this.#connect();
    this.#first.catch(() => {}).finally(() => {
      this.#hasStarted = true;
      this.#schedule();
    });
  }

  /** Whether Redis is reachable, and how often it was not. */
  get state(): RedisStoreState {
    return { isUp: this.#link.isUp, errors: this.#link.errors };
  }

  /**
   * Resolves when the first attempt to reach Redis has succeeded; rejects if it has failed.
   * The store can be used before, and tries again in any case.
   */
  get ready(): Promise<void> {
    return this.#first;
  }

  /** Grants all of the requests or none; see {@linkcode SharedLimitsStore.acquire}. */
  acquire(
    requests: readonly LimitRequest[],
  ): null | Promise<keyof Limits | null> {
    const acquire = () => this.#slots.acquire(requests);
    if (this.#hasStarted) return acquire();
    return this.#first.catch(() => {}).then(acquire);
  }

  /** Releases a slot; does nothing if this node does not hold it. */
  release(slot: LimitSlot): void {
    this.#slots.release(slot);
  }

  /** Counts slots as acquired, even beyond the limit. */
  forceAcquire(slot: LimitSlot, count: number): void {
    this.#slots.forceAcquire(slot, count);
  }

  /** Resolves when the bytes may pass, or when the request is cancelled. */
  pass(request: PassRequest): void | Promise<void> {
    return this.#rates.pass(request);
  }

  /** Cancels the pending request with this ticket. */
  cancel(ticket: number): void {
    this.#rates.cancel(ticket);
  }

  /**
   * Whether logins of the client fail now, without being verified. Redis is asked only about a
   * client that was locked out, in case it was unlocked. A lockout of another node is known
   * from the next heartbeat on, and effective at once: see {@linkcode succeeded}.
   */
  isLocked(client: string): boolean | Promise<boolean> {
    return this.#lockout.isLocked(client);
  }

  /**
   * Counts a failed login; resolves with the delay of its answer, in milliseconds. When that
   * is over, no node accepts a login of a client that is locked out.
   */
  failed(client: string): Promise<number> {
    return this.#lockout.failed(client);
  }

  /**
   * Accepts a correct login. Resolves with `false` if the client is locked out on any node.
   * If it is not, Redis is not asked about it for half a second, for which {@linkcode failed}
   * of other nodes waits.
   */
  succeeded(client: string): Promise<boolean> {
    return this.#lockout.succeeded(client);
  }

  /**
   * The clients that are locked out on any node, at most 10,000. While Redis is not reachable,
   * those that this node knows of.
   */
  locked(): Promise<LockedClient[]> {
    return this.#lockout.locked();
  }

  /**
   * Forgets the failed logins of a client, or without an argument those of all clients.
   * Resolves with how many were locked out. Other nodes follow at once; if Redis is not
   * reachable, when it is back.
   */
  unlock(client?: string): Promise<number> {
    return this.#lockout.unlock(client);
  }

  /**
   * Changes how failed logins are counted on this node. Those that Redis has counted stay.
   *
   * @throws {TypeError} as `new Lockout()` does.
   */
  setLockout(options: LockoutOptions): void {
    const next = this.#newLockout(options);
    // The same one keeps what it has counted while Redis is away.
    if (!next.isLike(this.#lockout)) this.#lockout = next;
  }

  /**
   * Adds usage, and resolves with the totals; see {@linkcode UsageStore.add}. While Redis is not
   * reachable, the totals are those that this node has known, with what it has added since;
   * Redis is told when it is back. With `strict` it rejects then.
   */
  async add(reports: readonly UsageReport[]): Promise<readonly UserTotals[]> {
    if (!this.#hasStarted) await this.#first.catch(() => {});
    if (this.#isClosed) throw new RedisAway("the store is closed");
    return await this.#usage.add(reports);
  }

  /** Releases everything that this node holds, and ends the connection. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#next?.cancel();
    this.#rates.close();
    await this.#first.catch(() => {});
    await this.#usage.flush().catch(() => {});
    await this.#slots.leave().catch(() => {}); // its lease ends soon
    this.#link.close();
  }

  /** As {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #newLockout(options: LockoutOptions): SharedLockout {
    const { strict = false } = this.#options;
    const parts = { link: this.#link, names: this.#names, slots: this.#slots };
    return new SharedLockout({
      ...parts,
      strict,
      failedLogins: options.failedLogins,
      lockout: options.lockout,
      clock: this.#clock,
    });
  }

  #connect(): Promise<void> {
    return this.#link.connect(async () => {
      await this.#slots.declare();
      await this.#lockout.report();
    });
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#next = this.#clock.startTimeout(this.#interval, () => {
      this.#beat().catch(() => {}).finally(() => this.#schedule());
    });
  }

  async #beat(): Promise<void> {
    this.#rates.sweep();
    if (!this.#link.isUp) await this.#connect();
    this.#usage.flush().catch(() => {});
    const lockout = this.#lockout;
    await lockout.report();
    const news = await this.#slots.beat(lockout.since);
    if (news) lockout.learn(news);
  }
}

/**
 * Makes a store in Redis or Valkey, for `sharedLimits`, as a guard of logins, and as a store
 * of usage. It connects in the background, and is usable at once.
 *
 * Redis must not evict keys (`maxmemory-policy noeviction`, the default). Slots and lockouts
 * need no persistence; usage is as durable as Redis is configured to be.
 *
 * @throws {TypeError} if an option is invalid. The message does not have the URL.
 *
 * @example Servers on several machines that share sessions per user and lockouts
 * ```ts
 * import { redisStore } from "@x/socks5/redis";
 * import { serve, userPass } from "@x/socks5/server";
 *
 * // No Redis listens on this port: each node counts for itself until one does.
 * await using store = redisStore({
 *   url: "redis://127.0.0.1:1",
 *   onLost: (error) => console.log(`limits are local: ${error.message}`),
 * });
 * await using server = await serve({
 *   port: 0,
 *   auth: [userPass({ alice: "correct horse" }, { guard: store })],
 *   limits: { sessionsPerUser: 5 },
 *   sharedLimits: { store, limits: ["sessionsPerUser"] },
 * });
 * console.log(server.addr.port, store.state.isUp);
 * ```
 */
export function redisStore(options: RedisStoreOptions): RedisStore {
  return new RedisStore(options);
}

function opening(
  { url, client }: RedisStoreOptions,
  timeout: number,
  clock: Clock,
) {
  if ((url === undefined) === (client === undefined)) {
    throw new TypeError("a store in Redis needs url or client, but not both");
  }
  if (client) {
    // Without the method close() that it may have: it is not ours.
    const given: RedisClient = {
      send: (command, args) => client.send(command, args),
    };
    return { open: () => Promise.resolve(given), redact: (it: string) => it };
  }
  const address = addressOf(url!);
  return {
    open: () => openClient(address, 4 * timeout, clock),
    redact: (message: string) => withoutPassword(message, address),
  };
}

function addressOf(url: string): RedisAddress {
  try {
    return parseRedisUrl(url);
  } catch (error) {
    throw new TypeError(`url ${(error as Error).message}`);
  }
}

function checkNumber(name: string, value: number, min: number): void {
  if (Number.isInteger(value) && value >= min && value <= MAX) return;
  throw new TypeError(
    `${name} must be a whole number from ${min} to ${MAX}`,
  );
}
