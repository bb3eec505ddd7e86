/**
 * Limits bytes per second.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import type { RelayRateLimiter } from "../../transport/relay.ts";
import type { Timeout } from "../../transport/timeouts.ts";

/** Milliseconds of idle time that a burst can make up for. */
const BURST = 100;
/** Milliseconds' worth of bytes that should pass at a time. */
const SLICE = 50;
/** Waits are multiples of this many milliseconds, so that many rate limiters share few timers. */
const TICK = 10;
/** A wait is checked again after this many milliseconds, because the rate may have changed. */
const LONGEST_WAIT = 100;

/** Limits the bytes of all sessions of a user together, as {@linkcode RateLimiter} does. */
export interface UserRateLimiter {
  /** Bytes per second, more than 0; may be changed at any time. */
  rate: number;
  /** How many bytes should pass at a time. */
  readonly slice: number;
  /** Queues bytes; returns `undefined` if they may pass now. */
  enqueue(bytes: number): Waiter | undefined;
  /** Removes a waiter from the queue; does nothing if it is no longer in the queue. */
  cancel(waiter: Waiter): void;
  /** Whether a datagram may pass. */
  mayPass(): boolean;
  /** Counts bytes that pass without waiting. */
  consume(bytes: number): void;
  /** Pays any debt; returns whether the rate limiter is now equal to a new one. */
  settle(): boolean;
}

/** An entry of the queue of a {@linkcode RateLimiter}. */
export class Waiter {
  /** Resolves when the bytes may pass, or when the waiter is cancelled. */
  readonly ready: Promise<void>;
  /** How many bytes wait. */
  readonly bytes: number;
  previous: Waiter | undefined;
  next: Waiter | undefined;
  /** Resolves {@linkcode ready}. */
  readonly resolve: () => void;
  /** Rejects {@linkcode ready}: it is not known whether the bytes may pass. */
  readonly reject: (error: Error) => void;

  constructor(bytes: number) {
    this.bytes = bytes;
    let onResolve!: () => void;
    let onReject!: (error: Error) => void;
    this.ready = new Promise((resolve, reject) => {
      onResolve = resolve;
      onReject = reject;
    });
    this.resolve = onResolve;
    this.reject = onReject;
  }
}

/**
 * Lets bytes pass at a rate, first come, first served. After idle time a burst
 * of 100 ms' worth may pass at once. Bytes that pass may leave a debt, so that
 * any number of bytes passes in time. For an even flow, let no more than
 * {@linkcode slice} pass at a time.
 *
 * @example
 * ```ts
 * const rateLimiter = new RateLimiter(1_000_000);
 * for (const chunk of [new Uint8Array(1_000), new Uint8Array(2_000)]) {
 *   await rateLimiter.pass(chunk.length);
 * }
 * ```
 */
export class RateLimiter implements RelayRateLimiter, UserRateLimiter {
  #rate: number;
  /** How many waiters there are. */
  waiting = 0;
  readonly #clock: Clock;
  /** The time at which all bytes that have passed are paid for. */
  #paidAt = -Infinity;
  /** Bytes that may still pass by {@linkcode tryPass} while others queue; less than 0 is a debt. */
  #credit = 0;
  #first: Waiter | undefined;
  #last: Waiter | undefined;
  #timeout: Timeout | undefined;

  constructor(rate: number, clock: Clock = systemClock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** Bytes per second, more than 0; may be changed at any time. */
  get rate(): number {
    return this.#rate;
  }

  set rate(rate: number) {
    const now = this.#clock.now();
    const debt = this.#paidAt - now; // in milliseconds at the old rate
    if (debt > 0) this.#paidAt = now + debt * this.#rate / rate;
    this.#rate = rate;
  }

  /** The bytes that should pass at a time at this rate. */
  static slice(rate: number): number {
    return Math.ceil(rate / 1000 * SLICE);
  }

  get slice(): number {
    return RateLimiter.slice(this.#rate);
  }

  pass(bytes: number): Promise<void> | undefined {
    return this.enqueue(bytes)?.ready;
  }

  /** As {@linkcode pass}, with a waiter that can be cancelled. */
  enqueue(bytes: number): Waiter | undefined {
    const now = this.#clock.now();
    if (!this.#first && this.#paidAt <= now) return this.#grant(bytes, now);
    const waiter = new Waiter(bytes);
    waiter.previous = this.#last;
    if (this.#last) this.#last.next = waiter;
    else this.#first = waiter;
    this.#last = waiter;
    this.waiting++;
    if (!this.#timeout) this.#wait(now);
    return waiter;
  }

  /** Removes a waiter from the queue; does nothing if it is no longer in the queue. */
  cancel(waiter: Waiter): void {
    if (!this.#remove(waiter)) return;
    waiter.resolve();
    if (!this.#first) this.#stop();
  }

  /** Cancels all waiters. */
  close(): void {
    while (this.#first) this.cancel(this.#first);
  }

  /** Lets bytes pass now or not at all, for datagrams; returns whether they may. */
  tryPass(bytes: number): boolean {
    if (!this.mayPass()) return false;
    this.consume(bytes);
    return true;
  }

  /**
   * Whether {@linkcode tryPass} would succeed. While others queue, datagrams get as
   * much as they do.
   */
  mayPass(): boolean {
    return this.#first ? this.#credit > 0 : this.#paidAt <= this.#clock.now();
  }

  consume(bytes: number): void {
    if (this.#first) this.#credit -= bytes;
    this.#charge(bytes, this.#clock.now());
  }

  /**
   * Returns whether everything is paid for and the burst is available again; it becomes
   * true with time.
   */
  settle(): boolean {
    return !this.#first && this.#paidAt + BURST <= this.#clock.now();
  }

  /** Lets queued bytes pass; as many may then pass in datagrams. */
  #grant(bytes: number, now: number): undefined {
    this.#credit = Math.min(this.#credit + bytes, this.slice);
    this.#charge(bytes, now);
  }

  #charge(bytes: number, now: number): void {
    const from = Math.max(this.#paidAt, now - BURST);
    this.#paidAt = from + bytes / this.#rate * 1000;
  }

  #wait(now: number): void {
    const ms = Math.ceil((this.#paidAt - now) / TICK) * TICK;
    this.#timeout = this.#clock.startTimeout(
      Math.min(Math.max(ms, TICK), LONGEST_WAIT),
      this.#serve,
    );
  }

  readonly #serve = (): void => {
    this.#timeout = undefined;
    const now = this.#clock.now();
    for (
      let waiter = this.#first;
      waiter && this.#paidAt <= now;
      waiter = this.#first
    ) {
      this.#remove(waiter);
      this.#grant(waiter.bytes, now);
      waiter.resolve();
    }
    if (this.#first) this.#wait(now);
  };

  #stop(): void {
    this.#timeout?.cancel();
    this.#timeout = undefined;
  }

  #remove(waiter: Waiter): boolean {
    const { previous, next } = waiter;
    if (previous) previous.next = next;
    else if (this.#first === waiter) this.#first = next;
    else return false;
    if (next) next.previous = previous;
    else this.#last = previous;
    waiter.previous = waiter.next = undefined;
    this.waiting--;
    return true;
  }
}
