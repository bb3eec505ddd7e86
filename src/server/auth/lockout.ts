/**
 * Slows down and locks out the addresses whose logins fail.
 *
 * @module
 */

import { clientKey } from "../client_key.ts";

/** Failures in a row from which on an answer is delayed. */
const SLOWED = 3;
const FIRST_DELAY = 250;
const MAX_DELAY = 4_000;
/** How many addresses are remembered as failing, and as many as locked out. */
const MAX_ADDRESSES = 10_000;

/** How {@linkcode Lockout} works. */
export interface LockoutOptions {
  /**
   * After how many failed logins in a row an address is locked out: its logins
   * fail at once. 0 = never, failures only slow it down.
   *
   * @default {10}
   */
  readonly failedLogins?: number;
  /**
   * Milliseconds for which it is, and after which without a failure its
   * failures are forgotten. 0 = failures are not counted at all.
   *
   * @default {300_000}
   */
  readonly lockout?: number;
  /**
   * The clock, in milliseconds; it must not run backwards.
   *
   * @default {performance.now}
   */
  readonly now?: () => number;
}

/** Slows down and locks out, or asks somebody whether to. */
export interface LoginGuard {
  /** Whether logins from there must fail now. */
  isLocked(client: string): boolean | Promise<boolean>;
  /** Counts a failed login; gives the milliseconds by which to delay its answer. */
  failed(client: string): number | Promise<number>;
  /** Takes a right login; `false` when it must fail nevertheless, for the address is locked out. */
  succeeded(client: string): boolean | Promise<boolean>;
}

interface Failures {
  readonly count: number;
  /** When they are forgotten. */
  readonly until: number;
}

/**
 * Counts failed logins of client addresses. An address is an IPv4 address or,
 * as its owner can have all of it, an IPv6 /64.
 *
 * Memory is bounded, and whoever has many addresses cannot use that to unlock
 * some of them at little cost: locked addresses are kept apart, so that one is
 * only forgotten early when 10,000 others were locked out since, and the
 * failures of one that is not locked yet when 10,000 others have failed since.
 * Nothing that others do can lock an address, or keep it locked.
 */
export class Lockout implements LoginGuard {
  readonly #failedLogins: number;
  readonly #lockout: number;
  readonly #now: () => number;
  // Both in the order in which they run out.
  readonly #failing = new Map<string, Failures>();
  readonly #locked = new Map<string, Failures>();

  /** Throws a `TypeError` unless both numbers are whole and not negative. */
  constructor(
    {
      failedLogins = 10,
      lockout = 300_000,
      now = () => performance.now(),
    }: LockoutOptions = {},
  ) {
    checkCount("failedLogins", failedLogins);
    checkCount("lockout", lockout);
    this.#failedLogins = failedLogins;
    this.#lockout = lockout;
    this.#now = now;
  }

  isLocked(client: string): boolean {
    if (this.#locked.size === 0) return false;
    return this.#current(this.#locked, clientKey(client)) !== undefined;
  }

  /** Milliseconds by which to delay the answer to the failed login counted last. */
  delayOf(client: string): number {
    if (this.#failing.size === 0) return 0;
    const { count } = this.#current(this.#failing, clientKey(client)) ?? NONE;
    if (count < SLOWED) return 0;
    return Math.min(FIRST_DELAY * 2 ** (count - SLOWED), MAX_DELAY);
  }

  /** Counts a failed login, and gives the delay of its answer. Of an address that is locked out nothing is counted. */
  failed(client: string): number {
    if (this.#lockout === 0 || this.isLocked(client)) return 0;
    const key = clientKey(client);
    const { count } = this.#current(this.#failing, key) ?? NONE;
    const failures = {
      count: count + 1,
      until: this.#now() + this.#lockout,
    };
    this.#failing.delete(key);
    const locks = failures.count === this.#failedLogins;
    this.#remember(locks ? this.#locked : this.#failing, key, failures);
    return this.delayOf(client);
  }

  /** Forgets the failures of an address, unless it is locked out: someone there knows a password. */
  succeeded(client: string): boolean {
    if (this.isLocked(client)) return false;
    if (this.#failing.size > 0) this.#failing.delete(clientKey(client));
    return true;
  }

  #current(map: Map<string, Failures>, key: string): Failures | undefined {
    const failures = map.get(key);
    return failures && failures.until > this.#now() ? failures : undefined;
  }

  #remember(
    map: Map<string, Failures>,
    key: string,
    failures: Failures,
  ): void {
    map.delete(key);
    map.set(key, failures);
    for (const [oldest, { until }] of map) {
      if (map.size <= MAX_ADDRESSES && until > this.#now()) break;
      map.delete(oldest);
    }
  }
}

const NONE: Failures = { count: 0, until: 0 };

function checkCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new TypeError(`${name} must be a whole number that is not negative`);
}
