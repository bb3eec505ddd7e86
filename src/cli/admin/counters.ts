/**
 * The totals of a server.
 *
 * @module
 */

import type { MetricValues } from "../../server/metrics.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";

/** The totals of a server since its start, with those of workers that have ended. */
export interface Counters {
  /** The workers that are listening; 1 without workers. */
  readonly workers: number;
  /** Sessions that are open, and have sent their first byte. */
  readonly sessions: number;
  /** Bytes from clients to targets, those of open sessions included. */
  readonly sent: number;
  /** Bytes from targets to clients. */
  readonly received: number;
  /** Sessions that have started. */
  readonly started: number;
  /** Clients that were rejected before their handshake. */
  readonly rejected: number;
  /** Targets that were denied. */
  readonly denied: number;
}

/** Reads the totals from the metrics, which have them for all workers. */
export function countersOf(values: MetricValues): Counters {
  const sums = new Map<string, number>();
  for (const [key, value] of Object.entries(values)) {
    const name = /^[^{]*/.exec(key)![0];
    sums.set(name, (sums.get(name) ?? 0) + value);
  }
  const sum = (name: string) => sums.get(`socks5_${name}`) ?? 0;
  const bytes = (direction: string) =>
    values[`socks5_relayed_bytes_total{direction="${direction}"}`] ?? 0;
  return {
    workers: sums.get("socks5_workers") ?? 1,
    sessions: sum("active_sessions"),
    sent: bytes("sent"),
    received: bytes("received"),
    started: sum("sessions_started_total"),
    rejected: sum("sessions_rejected_total"),
    denied: sum("targets_denied_total"),
  };
}

/**
 * How old totals may be for another reader, in milliseconds. More than the time between two
 * samples of the history: while the console is open, its samples are the only reads.
 */
const MAX_AGE = 1_200;

/** Reads the totals about once per second, however many ask. */
export class CounterReader {
  readonly #read: () => Promise<MetricValues>;
  readonly #clock: Clock;
  #last: { readonly at: number; readonly counters: Counters } | undefined;
  #reading: Promise<Counters> | undefined;

  constructor(
    read: () => Promise<MetricValues>,
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
      const counters = countersOf(await this.#read());
      this.#last = { at: this.#clock.now(), counters };
      return counters;
    } finally {
      this.#reading = undefined;
    }
  }
}
