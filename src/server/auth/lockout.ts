/**
 * Slows down and locks out the addresses whose logins fail.
 *
 * @module
 */

import { parseIp } from "../../protocol/ip.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import { clientKey } from "../client_key.ts";

/** The number of consecutive failures from which answers are delayed. */
const FIRST_DELAYED = 3;
const FIRST_DELAY = 250;
const MAX_DELAY = 4_000;
/** The maximum number of failing addresses, and of locked ones, that are remembered. */
const MAX_ADDRESSES = 10_000;

/** Options of {@linkcode Lockout}. */
export interface LockoutOptions {
  /**
   * The number of consecutive failed logins after which an address is locked out, so that
   * its logins fail at once. 0 = never; failures only delay the answers. So it is for the
   * clients of a Unix socket: they have no address by which one could be told from another.
   *
   * @default {10}
   */
  readonly failedLogins?: number;
  /**
   * How long an address stays locked out, and how long after the last failure its
   * failures are forgotten, in milliseconds. 0 = failures are not counted.
   *
   * @default {300_000}
   */
  readonly lockout?: number;
  /** The clock for lockouts, delays and their timers. By default the runtime's clock. */
  readonly clock?: Clock;
}

/**
 * Decides how failed logins slow down and lock out a client. {@linkcode Lockout} and the
 * stores of a `Coordinator` implement it. `client` is an IP address; or other text, such as
 * `unix:PATH`, for all clients whose address is not known: one must not lock out all.
 */
export interface LoginGuard {
  /** Whether logins from this address must fail now, without being verified. */
  isLocked(client: string): boolean | Promise<boolean>;
  /** Counts a failed login. Returns the delay of its answer in milliseconds. */
  failed(client: string): number | Promise<number>;
  /**
   * Records a correct login. Returns `false` if the login must fail anyway, because the
   * address is locked out.
   */
  succeeded(client: string): boolean | Promise<boolean>;
}

/** A client that is locked out. */
export interface LockedClient {
  /** Its IPv4 address, or the /64 of its IPv6 address. */
  readonly client: string;
  /** The number of its failed logins. */
  readonly failed: number;
  /** The end of the lockout, in milliseconds since the epoch. */
  readonly until: number;
}

interface Failures {
  readonly count: number;
  /** When they are forgotten. */
  readonly until: number;
}

/**
 * Counts the failed logins of client addresses. The IPv6 addresses of a /64 are counted
 * together, because one machine can use any of them.
 *
 * From the third consecutive failure on, answers are delayed: first by 250 ms, then by
 * twice as long each time, up to 4 s.
 *
 * Memory is bounded. Locked addresses are stored separately, so that an attacker with
 * many addresses cannot cheaply unlock one of them: a locked address is forgotten early
 * only after 10,000 others have been locked out, and the failures of an unlocked one only
 * after 10,000 others have failed. Other clients can neither lock an address nor keep it
 * locked.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { Lockout } from "@x/socks5/server";
 *
 * const lockout = new Lockout({ failedLogins: 2 });
 * lockout.failed("192.0.2.1");
 * lockout.failed("192.0.2.1");
 * assertEquals(lockout.isLocked("192.0.2.1"), true);
 * assertEquals(lockout.isLocked("192.0.2.2"), false);
 * assertEquals(lockout.locked().map(({ client }) => client), ["192.0.2.1"]);
 * assertEquals(lockout.unlock("192.0.2.1"), 1);
 * ```
 */
export class Lockout implements LoginGuard {
  readonly #failedLogins: number;
  readonly #lockout: number;
  readonly #clock: Clock;
  // Both in the order in which they expire.
  readonly #failing = new Map<string, Failures>();
  readonly #locked = new Map<string, Failures>();

  /**
   * Creates a guard that has counted no failures.
   *
   * @throws {TypeError} unless both numbers are whole and not negative.
   */
  constructor(options: LockoutOptions = {}) {
    const { failedLogins = 10, lockout = 300_000 } = options;
    checkCount("failedLogins", failedLogins);
    checkCount("lockout", lockout);
    this.#failedLogins = failedLogins;
    this.#lockout = lockout;
    this.#clock = options.clock ?? systemClock;
  }

  /** Whether this address is locked out. */
  isLocked(client: string): boolean {
    if (this.#locked.size === 0) return false;
    return this.#current(this.#locked, clientKey(client)) !== undefined;
  }

  /** The delay of the answer to the last failure, in milliseconds. */
  delayOf(client: string): number {
    if (this.#failing.size === 0) return 0;
    const { count } = this.#current(this.#failing, clientKey(client)) ?? NONE;
    return delayOfFailure(count);
  }

  /**
   * Counts a failed login and returns the delay of its answer. Failures of a
   * locked address do not count.
   */
  failed(client: string): number {
    if (this.#lockout === 0 || this.isLocked(client)) return 0;
    const key = clientKey(client);
    const { count } = this.#current(this.#failing, key) ?? NONE;
    const failures = {
      count: count + 1,
      until: this.#clock.now() + this.#lockout,
    };
    this.#failing.delete(key);
    const locks = failures.count === this.#failedLogins && isAddress(client);
    this.#remember(locks ? this.#locked : this.#failing, key, failures);
    return this.delayOf(client);
  }

  /**
   * Forgets the failures of an address after a correct login. Returns `false` if the
   * address is locked out.
   */
  succeeded(client: string): boolean {
    if (this.isLocked(client)) return false;
    if (this.#failing.size > 0) this.#failing.delete(clientKey(client));
    return true;
  }

  /** The clients that are locked out, at most 10,000; the one whose lockout ends last first. */
  locked(): LockedClient[] {
    const now = this.#clock.now();
    const clients: LockedClient[] = [];
    for (const [client, { count, until }] of this.#locked) {
      if (until <= now) continue;
      const left = Math.round(until - now);
      clients.push({ client, failed: count, until: Date.now() + left });
    }
    return clients.reverse();
  }

  /**
   * Forgets the failed logins of a client, an address or one of {@linkcode locked}, or
   * without an argument those of all clients. Returns how many of them were locked out.
   */
  unlock(client?: string): number {
    const keys = client === undefined
      ? [...this.#locked.keys(), ...this.#failing.keys()]
      : [clientKey(client)];
    let unlocked = 0;
    for (const key of keys) {
      if (this.#current(this.#locked, key)) unlocked++;
      this.#locked.delete(key);
      this.#failing.delete(key);
    }
    return unlocked;
  }

  #current(map: Map<string, Failures>, key: string): Failures | undefined {
    const failures = map.get(key);
    return failures && failures.until > this.#clock.now()
      ? failures
      : undefined;
  }

  #remember(
    map: Map<string, Failures>,
    key: string,
    failures: Failures,
  ): void {
    map.delete(key);
    map.set(key, failures);
    for (const [oldest, { until }] of map) {
      if (map.size <= MAX_ADDRESSES && until > this.#clock.now()) break;
      map.delete(oldest);
    }
  }
}

/** The delay of the answer to this consecutive failure, the first being 1, in milliseconds. */
export function delayOfFailure(count: number): number {
  if (count < FIRST_DELAYED) return 0;
  return Math.min(FIRST_DELAY * 2 ** (count - FIRST_DELAYED), MAX_DELAY);
}

/** Whether a client is an IP address, and not other text for many clients. */
export function isAddress(client: string): boolean {
  return parseIp(client.split("%", 1)[0]) !== undefined;
}

const NONE: Failures = { count: 0, until: 0 };

function checkCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new TypeError(`${name} must be a whole number that is not negative`);
}
