/**
 * The rate of a user that several servers share.
 *
 * @module
 */

import type { Clock } from "../../transport/clock.ts";
import {
  RateLimiter,
  type UserRateLimiter,
  Waiter,
} from "../limits/rate_limiter.ts";
import type { LimitsError } from "../limits/limits_error.ts";
import type { CheckedStore } from "./checked_store.ts";

/** Milliseconds until a failed payment is tried again. */
const RETRY_DELAY = 1_000;

/** Unique in this process, because several servers may use one store. */
let lastTicket = 0;

/**
 * Limits the bytes of a user on one server: each slice waits in the one queue
 * that the store keeps. Datagrams cannot wait, so some of their bytes pass on
 * credit and are paid for afterwards.
 */
export class SharedRateLimiter implements UserRateLimiter {
  rate: number;
  readonly #user: string;
  readonly #store: CheckedStore;
  readonly #clock: Clock;
  readonly #tickets = new Map<Waiter, number>();
  /** Bytes that have passed and are not paid for. */
  #debt = 0;
  #isPaying = false;
  #retryAt = -Infinity;

  constructor(user: string, rate: number, store: CheckedStore, clock: Clock) {
    this.#user = user;
    this.rate = rate;
    this.#store = store;
    this.#clock = clock;
  }

  get slice(): number {
    return RateLimiter.slice(this.rate);
  }

  enqueue(bytes: number): Waiter | undefined {
    if (this.rate === Infinity) return undefined;
    const waiter = new Waiter(bytes);
    const ticket = ++lastTicket;
    this.#tickets.set(waiter, ticket);
    const perSecond = this.rate;
    this.#store.pass({ ticket, user: this.#user, bytes, perSecond }).then(
      waiter.resolve,
      waiter.reject,
    ).finally(() => this.#tickets.delete(waiter));
    return waiter;
  }

  cancel(waiter: Waiter): void {
    const ticket = this.#tickets.get(waiter);
    if (ticket === undefined) return;
    this.#tickets.delete(waiter);
    this.#store.cancel(ticket);
    waiter.resolve();
  }

  mayPass(): boolean {
    if (this.#debt < this.slice || this.rate === Infinity) return true;
    this.#startPaying(); // the rate may have become lower
    return false;
  }

  consume(bytes: number): void {
    if (this.rate === Infinity) return;
    this.#debt += bytes;
    if (this.#debt > this.slice / 2) this.#startPaying();
  }

  /** Pays any debt, however little; returns whether there is none. */
  settle(): boolean {
    if (this.#debt > 0) this.#startPaying();
    return this.#debt === 0;
  }

  #startPaying(): void {
    if (this.#isPaying || this.#clock.now() < this.#retryAt) return;
    void this.#pay();
  }

  /** Pays until the debt is small. Datagrams are dropped while it cannot be paid. */
  async #pay(): Promise<void> {
    this.#isPaying = true;
    try {
      do {
        const bytes = this.#debt;
        await this.enqueue(bytes)?.ready;
        this.#debt -= bytes;
      } while (this.#debt > this.slice / 2);
    } catch (error) {
      this.#retryAt = this.#clock.now() + RETRY_DELAY;
      this.#store.report(error as LimitsError);
    }
    this.#isPaying = false;
  }
}
