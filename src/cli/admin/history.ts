/**
 * The throughput of the last ten minutes.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Timeout } from "../../transport/timeouts.ts";
import type { Counters } from "../serve/control/control.ts";
import type { CounterReader } from "./counters.ts";

/** The time between two samples, in milliseconds. */
const INTERVAL = 1_000;
const MAX_SAMPLES = 600;
/** Sampling stops this long after the last request, in milliseconds. */
const UNUSED = 30_000;

/**
 * The time in milliseconds since the epoch, the number of open sessions, and the bytes sent
 * and received since the sample before.
 */
export type Sample = readonly [
  time: number,
  sessions: number,
  sent: number,
  received: number,
];

/** Samples the totals once per second while somebody asks for them. */
export class History {
  readonly #counters: Pick<CounterReader, "now">;
  readonly #clock: Clock;
  #samples: Sample[] = [];
  #before: Counters | undefined;
  #lastAsked = 0;
  #timeout: Timeout | undefined;
  #isClosed = false;

  constructor(
    counters: Pick<CounterReader, "now">,
    clock: Clock = systemClock,
  ) {
    this.#counters = counters;
    this.#clock = clock;
  }

  /**
   * The samples of the last ten minutes, with gaps where nobody asked. With `since`, only
   * those that are later than this time.
   */
  read(
    since = 0,
  ): { readonly interval: number; readonly samples: readonly Sample[] } {
    this.#lastAsked = this.#clock.now();
    if (!this.#timeout && !this.#isClosed) this.#startTimeout(this.#lastAsked);
    const first = Date.now() - MAX_SAMPLES * INTERVAL;
    this.#samples = this.#samples.filter(([time]) => time >= first);
    const samples = this.#samples.filter(([time]) => time > since);
    return { interval: INTERVAL, samples };
  }

  /** Stops sampling. */
  close(): void {
    this.#isClosed = true;
    this.#timeout?.cancel();
  }

  /** `due` is when the sample before was to be taken, so that delays do not add up. */
  #startTimeout(due: number): void {
    const next = Math.max(due + INTERVAL, this.#clock.now() + 1);
    this.#timeout = this.#clock.startTimeout(
      next - this.#clock.now(),
      () => void this.#sample(next),
    );
  }

  async #sample(due: number): Promise<void> {
    if (this.#clock.now() - this.#lastAsked > UNUSED) return this.#pause();
    const now = await this.#counters.now().catch(() => undefined);
    if (this.#isClosed) return;
    if (now && this.#before) this.#add(now, this.#before);
    this.#before = now;
    this.#startTimeout(due);
  }

  #pause(): void {
    this.#timeout = undefined;
    // Otherwise the first sample after the pause would have the bytes of all of it.
    this.#before = undefined;
  }

  #add(now: Counters, before: Counters): void {
    // A worker that failed takes the bytes of its open sessions with it.
    const bytes = (key: "sent" | "received") =>
      Math.max(0, now[key] - before[key]);
    const sample = [Date.now(), now.sessions, bytes("sent"), bytes("received")];
    this.#samples.push(sample as unknown as Sample);
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }
}
