/**
 * Octets per second, of whatever has a throttle.
 *
 * @module
 */

import type { RelayRateLimiter } from "../../transport/relay.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Timeout } from "../../transport/timeouts.ts";

/** Milliseconds of rest that can be made up for by going faster. */
const BURST = 100;
/** Milliseconds' worth of octets that should pass at a time. */
const SLICE = 50;
/** Waits are multiples of this many milliseconds, so that many throttles share few timers. */
const TICK = 10;
/** After this many milliseconds a wait is looked at again, for the rate may have changed. */
const LONGEST_WAIT = 100;

/** Holds the octets of all sessions of a user back, as {@linkcode RateLimiter} does. */
export interface UserRateLimiter {
  /** Octets per second, more than 0; may be changed at any time. */
  rate: number;
  /** How many octets should pass at a time. */
  readonly slice: number;
  /** A place in the queue; `undefined` when it is the octets' turn now. */
  enqueue(octets: number): Waiter | undefined;
  /** Gives up a place in the queue; harmless when its turn has come. */
  cancel(turn: Waiter): void;
  /** Whether a datagram may pass. */
  mayPass(): boolean;
  /** Passes without asking. */
  consume(octets: number): void;
  /** Has what is owed paid; whether there is nothing left by which it differs from a new one. */
  settle(): boolean;
  /** Called when it is forgotten. */
  close(): void;
}

/** A place in the queue of a {@linkcode RateLimiter}. */
export class Waiter {
  /** Resolves when it is this one's turn, or when it was given up. */
  readonly ready: Promise<void>;
  previous: Waiter | undefined;
  next: Waiter | undefined;
  /** Resolves {@linkcode ready}. */
  readonly resolve: () => void;

  constructor(readonly octets: number) {
    let call!: () => void;
    this.ready = new Promise((resolve) => call = resolve);
    this.resolve = call;
  }
}

/**
 * Lets octets pass at a rate, first come, first served. After a rest 100 ms'
 * worth may pass at once. What has passed may leave a debt, so that any number
 * of octets passes in time; who wants an even flow asks for no more than
 * {@linkcode slice} at a time.
 *
 * @example
 * ```ts
 * const throttle = new Throttle(1_000_000);
 * for (const chunk of [new Uint8Array(1_000), new Uint8Array(2_000)]) {
 *   await throttle.pass(chunk.length);
 * }
 * ```
 */
export class RateLimiter implements RelayRateLimiter, UserRateLimiter {
  #rate: number;
  /** How many wait. */
  waiting = 0;
  readonly #clock: Clock;
  /** When all that has passed is paid for. */
  #paid = -Infinity;
  /** Octets that may still pass by {@linkcode tryPass} while others queue; less than 0 is a debt. */
  #between = 0;
  #first: Waiter | undefined;
  #last: Waiter | undefined;
  #timeout: Timeout | undefined;

  constructor(rate: number, clock: Clock = systemClock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** Octets per second, more than 0; may be changed at any time. */
  get rate(): number {
    return this.#rate;
  }

  set rate(rate: number) {
    const now = this.#clock.now();
    const debt = this.#paid - now; // in milliseconds at the rate so far
    if (debt > 0) this.#paid = now + debt * this.#rate / rate;
    this.#rate = rate;
  }

  /** The octets that should pass at a time at this rate. */
  static slice(rate: number): number {
    return Math.ceil(rate / 1000 * SLICE);
  }

  get slice(): number {
    return RateLimiter.slice(this.#rate);
  }

  pass(octets: number): Promise<void> | undefined {
    return this.enqueue(octets)?.ready;
  }

  /** As {@linkcode pass}, with a place in the queue that can be given up. */
  enqueue(octets: number): Waiter | undefined {
    const now = this.#clock.now();
    if (!this.#first && this.#paid <= now) return this.#give(octets, now);
    const turn = new Waiter(octets);
    turn.previous = this.#last;
    if (this.#last) this.#last.next = turn;
    else this.#first = turn;
    this.#last = turn;
    this.waiting++;
    if (!this.#timeout) this.#wait(now);
    return turn;
  }

  /** Gives up a place in the queue; harmless when its turn has come. */
  cancel(turn: Waiter): void {
    if (!this.#remove(turn)) return;
    turn.resolve();
    if (!this.#first) this.#stop();
  }

  /** Gives up all places in the queue. */
  close(): void {
    while (this.#first) this.cancel(this.#first);
  }

  /** Passes now or not at all, for datagrams. */
  tryPass(octets: number): boolean {
    if (!this.mayPass()) return false;
    this.consume(octets);
    return true;
  }

  /** Whether {@linkcode tryPass} would. While others queue, it gets as much as they do. */
  mayPass(): boolean {
    return this.#first ? this.#between > 0 : this.#paid <= this.#clock.now();
  }

  /** Passes without asking. */
  consume(octets: number): void {
    if (this.#first) this.#between -= octets;
    this.#take(octets, this.#clock.now());
  }

  /** Whether all is paid for, and a rest made up for: time does that. */
  settle(): boolean {
    return !this.#first && this.#paid + BURST <= this.#clock.now();
  }

  /** Passes what is no datagram; datagrams may follow suit. */
  #give(octets: number, now: number): undefined {
    this.#between = Math.min(this.#between + octets, this.slice);
    this.#take(octets, now);
  }

  #take(octets: number, now: number): void {
    this.#paid = Math.max(this.#paid, now - BURST) + octets / this.#rate * 1000;
  }

  #wait(now: number): void {
    const ms = Math.ceil((this.#paid - now) / TICK) * TICK;
    this.#timeout = this.#clock.startTimeout(
      Math.min(Math.max(ms, TICK), LONGEST_WAIT),
      this.#serve,
    );
  }

  readonly #serve = (): void => {
    this.#timeout = undefined;
    const now = this.#clock.now();
    for (
      let turn = this.#first;
      turn && this.#paid <= now;
      turn = this.#first
    ) {
      this.#remove(turn);
      this.#give(turn.octets, now);
      turn.resolve();
    }
    if (this.#first) this.#wait(now);
  };

  #stop(): void {
    this.#timeout?.cancel();
    this.#timeout = undefined;
  }

  #remove(turn: Waiter): boolean {
    const { previous, next } = turn;
    if (previous) previous.next = next;
    else if (this.#first === turn) this.#first = next;
    else return false;
    if (next) next.previous = previous;
    else this.#last = previous;
    turn.previous = turn.next = undefined;
    this.waiting--;
    return true;
  }
}
