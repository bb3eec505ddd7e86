/**
 * Slows down and locks out the addresses whose logins fail.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import { clientKey } from "../client_key.ts";

/** The failure in a row from which on answers are delayed. */
const FIRST_DELAYED = 3;
const FIRST_DELAY = 250;
const MAX_DELAY = 4_000;
/** How many addresses are remembered as failing, and how many more as locked out. */
const MAX_ADDRESSES = 10_000;

/** Options of {@linkcode Lockout}. */
export interface LockoutOptions {
  /**
   * The number of failed logins in a row after which an address is locked out:
   * its logins fail at once. 0 = never; failures only slow it down.
   *
   * @default {10}
   */
  readonly failedLogins?: number;
  /**
   * How long an address is locked out, and after how much time without a failure
   * its failures are forgotten, in milliseconds. 0 = failures are not counted.
   *
   * @default {300_000}
   */
  readonly lockout?: number;
  /** The clock for the lock-out, the delays and their timers. By default that of the runtime. */
  readonly clock?: Clock;
}

/**
 * Decides how failed logins slow down and lock out a client. {@linkcode Lockout}
 * is one, and so is each store of a `Coordinator`. `client` is an IP address.
 */
export interface LoginGuard {
  /** Whether logins from this address must fail now, without being verified. */
  isLocked(client: string): boolean | Promise<boolean>;
  /** Counts a wrong login. Returns by how many milliseconds to delay its answer. */
  failed(client: string): number | Promise<number>;
  /**
   * Takes note of a right login. Returns `false` if it must fail nevertheless,
   * because the address is locked out.
   */
  succeeded(client: string): boolean | Promise<boolean>;
}

interface Failures {
  readonly count: number;
  /** When they are forgotten. */
  readonly until: number;
}

/**
 * Counts the failed logins of client addresses. An IPv6 address counts together
 * with all others of its /64, because one machine can choose among those.
 *
 * From the third failure in a row on, answers are delayed: by 250 ms, then twice
 * as long each time, up to 4 s.
 *
 * Memory is bounded, and many addresses are no cheap way to unlock one of them:
 * locked addresses are kept apart. One is forgotten early only after 10,000
 * others have been locked out, and the failures of one that is not locked only
 * after 10,000 others have failed. Nothing that others do can lock an address,
 * or keep it locked.
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
   * Makes a guard without any failures.
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

  /** By how many milliseconds to delay the answer to the failure that was counted last. */
  delayOf(client: string): number {
    if (this.#failing.size === 0) return 0;
    const { count } = this.#current(this.#failing, clientKey(client)) ?? NONE;
    if (count < FIRST_DELAYED) return 0;
    return Math.min(FIRST_DELAY * 2 ** (count - FIRST_DELAYED), MAX_DELAY);
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
    const locks = failures.count === this.#failedLogins;
    this.#remember(locks ? this.#locked : this.#failing, key, failures);
    return this.delayOf(client);
  }

  /**
   * Forgets the failures of an address, because someone there knows a password;
   * `false` if it is locked out.
   */
  succeeded(client: string): boolean {
    if (this.isLocked(client)) return false;
    if (this.#failing.size > 0) this.#failing.delete(clientKey(client));
    return true;
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

const NONE: Failures = { count: 0, until: 0 };

function checkCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new TypeError(`${name} must be a whole number that is not negative`);
}
