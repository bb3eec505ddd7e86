/**
 * Bytes per second of users, which all nodes together may transfer. A node borrows them in
 * advance, so that it does not ask for each slice.
 *
 * @module
 */

import type { Clock } from "../transport/clock.ts";
import type { PassRequest } from "../server/cluster/store.ts";
import { type Link, RedisAway } from "./link.ts";
import type { KeyNames } from "./names.ts";
import { BORROW } from "./scripts.ts";

/** Milliseconds' worth of bytes that are borrowed at a time. */
const LOAN = 250;
/** Milliseconds of idle time that a burst can make up for. */
const BURST = 100;
/** Loans that are not used for this many milliseconds are dropped. */
const IDLE = 2_000;

interface Waiter {
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Account {
  /** Bytes that were borrowed and have not passed. */
  credit: number;
  perSecond: number;
  usedAt: number;
  /** When everything that has passed is paid for, while Redis is away. */
  paidAt: number;
  isServed: boolean;
  /** By ticket, in their order. */
  readonly waiters: Map<number, Waiter>;
}

/** The parts that {@linkcode SharedRates} needs. */
export interface SharedRatesOptions {
  readonly link: Link;
  readonly names: KeyNames;
  /** Whether nothing passes while Redis is away. */
  readonly strict: boolean;
  readonly clock: Clock;
}

/** Lets bytes pass; while Redis is away, at the rate of this node alone. */
export class SharedRates {
  readonly #options: SharedRatesOptions;
  readonly #accounts = new Map<string, Account>();
  readonly #users = new Map<number, string>();
  readonly #sleeps = new Set<() => void>();

  constructor(options: SharedRatesOptions) {
    this.#options = options;
  }

  /** How many users are remembered. */
  get size(): number {
    return this.#accounts.size;
  }

  pass({ ticket, user, bytes, perSecond }: PassRequest): void | Promise<void> {
    const account = this.#of(user);
    account.perSecond = perSecond;
    account.usedAt = this.#options.clock.now();
    if (account.waiters.size === 0 && account.credit >= bytes) {
      account.credit -= bytes;
      return;
    }
    this.#users.set(ticket, user);
    return new Promise((resolve, reject) => {
      account.waiters.set(ticket, { bytes, resolve, reject });
      if (!account.isServed) void this.#serve(user, account);
    });
  }

  cancel(ticket: number): void {
    const user = this.#users.get(ticket);
    if (user === undefined) return;
    this.#accounts.get(user)?.waiters.get(ticket)?.resolve();
    this.#forget(user, ticket);
  }

  /** Drops what is not used. */
  sweep(): void {
    const before = this.#options.clock.now() - IDLE;
    for (const [user, { usedAt, waiters, isServed }] of this.#accounts) {
      if (usedAt < before && waiters.size === 0 && !isServed) {
        this.#accounts.delete(user);
      }
    }
  }

  /** Ends all waits. */
  close(): void {
    for (const ticket of [...this.#users.keys()]) this.cancel(ticket);
    for (const wake of [...this.#sleeps]) wake();
  }

  #of(user: string): Account {
    let account = this.#accounts.get(user);
    if (!account) {
      account = {
        credit: 0,
        perSecond: 0,
        usedAt: 0,
        paidAt: -Infinity,
        isServed: false,
        waiters: new Map(),
      };
      this.#accounts.set(user, account);
    }
    return account;
  }

  /** Lets those that wait pass one after the other. */
  async #serve(user: string, account: Account): Promise<void> {
    account.isServed = true;
    try {
      for (const [ticket, { bytes, resolve }] of account.waiters) {
        while (account.credit < bytes && account.waiters.has(ticket)) {
          await this.#borrow(user, account, bytes - account.credit);
        }
        if (!account.waiters.has(ticket)) continue; // cancelled
        account.credit -= bytes;
        account.usedAt = this.#options.clock.now();
        this.#forget(user, ticket);
        resolve();
      }
    } catch (error) {
      for (const [ticket, { reject }] of account.waiters) {
        this.#forget(user, ticket);
        reject(error);
      }
    }
    account.isServed = false;
  }

  #forget(user: string, ticket: number): void {
    this.#users.delete(ticket);
    this.#accounts.get(user)?.waiters.delete(ticket);
  }

  async #borrow(user: string, account: Account, least: number): Promise<void> {
    const { perSecond } = account;
    const bytes = Math.max(least, Math.ceil(perSecond / 1000 * LOAN));
    const wait = await this.#ask(user, bytes, perSecond) ??
      this.#lend(account, bytes);
    if (wait > 0) await this.#sleep(wait);
    account.credit += bytes;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timeout.cancel();
        this.#sleeps.delete(wake);
        resolve();
      };
      const timeout = this.#options.clock.startTimeout(ms, wake);
      this.#sleeps.add(wake);
    });
  }

  /** Returns after how many milliseconds they may pass; `undefined` if Redis is away. */
  async #ask(
    user: string,
    bytes: number,
    perSecond: number,
  ): Promise<number | undefined> {
    const { link, names, strict } = this.#options;
    const args = [bytes, perSecond, BURST].map(String);
    try {
      if (link.isUp) {
        return await link.run(BORROW, [names.pass(user)], args) as number;
      }
    } catch (error) {
      if (!(error instanceof RedisAway)) throw error;
    }
    if (strict) throw new RedisAway("Redis does not answer");
    return undefined;
  }

  #lend(account: Account, bytes: number): number {
    const now = this.#options.clock.now();
    const wait = Math.max(account.paidAt - now, 0);
    account.paidAt = Math.max(account.paidAt, now - BURST) +
      bytes * 1000 / account.perSecond;
    return wait;
  }
}
