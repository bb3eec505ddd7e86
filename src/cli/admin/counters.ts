/**
 * The totals of a server.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Counters } from "../serve/control/control.ts";

/**
 * How old totals may be for another reader, in milliseconds. More than the time between two
 * samples of the history: while the console is open, its samples are the only reads.
 */
const MAX_AGE = 1_200;

/** Reads the totals about once per second, however many ask. */
export class CounterReader {
  readonly #read: () => Promise<Counters>;
  readonly #clock: Clock;
  #last: { readonly at: number; readonly counters: Counters } | undefined;
  #reading: Promise<Counters> | undefined;

  constructor(
    read: () => Promise<Counters>,
    clock: Clock = systemClock,
  ) {
    this.#read = read;
    this.#clock = clock;
  }

  /** The totals, at most 1.2 s old. */
  async recent(): Promise<Counters> {
    const isRecent = this.#last &&
      this.#clock.now() - this.#last.at < MAX_AGE;
    return isRecent ? this.#last!.counters : await this.now();
  }

  /** The totals now. */
  now(): Promise<Counters> {
    return this.#reading ??= this.#readNow();
  }

  async #readNow(): Promise<Counters> {
    try {
      const counters = await this.#read();
      this.#last = { at: this.#clock.now(), counters };
      return counters;
    } finally {
      this.#reading = undefined;
    }
  }
}
