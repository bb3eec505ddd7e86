/**
 * A clock whose long timeouts expire under the control of the test.
 *
 * @module
 */

import { type Clock, systemClock } from "../../src/transport/clock.ts";
import type { Timeout } from "../../src/transport/timeouts.ts";

/** Timeouts shorter than this, in milliseconds, use the system clock. */
const LONG = 1_000;

interface Waiting {
  readonly at: number;
  readonly call: () => void;
}

/**
 * The system clock, except that timeouts of a second or more expire only by
 * {@linkcode SkippingClock.skip}, which also advances `now()`.
 */
export class SkippingClock implements Clock {
  readonly #waiting = new Set<Waiting>();
  #skipped = 0;
  /**
   * Whether time is being skipped. A timeout that starts then is affected,
   * however short it is.
   */
  #skipping = false;

  /** The number of pending long timeouts. */
  get waiting(): number {
    return this.#waiting.size;
  }

  now(): number {
    return systemClock.now() + this.#skipped;
  }

  startTimeout<T = undefined>(
    ms: number,
    onTimeout: (argument: T) => void,
    argument?: T,
  ): Timeout {
    const isShort = ms < LONG && !this.#skipping;
    if (isShort || !(ms > 0) || ms === Infinity) {
      return systemClock.startTimeout(ms, onTimeout, argument);
    }
    const call = () => onTimeout(argument as T);
    const entry: Waiting = { at: this.now() + ms, call };
    this.#waiting.add(entry);
    return { cancel: () => void this.#waiting.delete(entry) };
  }

  /** Advances the time by `ms` milliseconds; the timeouts within it expire in order. */
  readonly skip = (ms: number): void => {
    const until = this.now() + ms;
    this.#skipping = true;
    for (let it = this.#next(until); it; it = this.#next(until)) {
      this.#goTo(it.at);
      this.#waiting.delete(it);
      it.call();
    }
    this.#skipping = false;
    this.#goTo(until);
  };

  /** The next timeout that expires until then. */
  #next(until: number): Waiting | undefined {
    const [first] = [...this.#waiting].sort((a, b) => a.at - b.at);
    return first && first.at <= until ? first : undefined;
  }

  #goTo(time: number): void {
    this.#skipped += Math.max(0, time - this.now());
  }
}

/**
 * Calls `use` with a {@linkcode SkippingClock}. All long timeouts must have
 * expired or been cancelled at its end.
 */
export async function withClock(
  use: (clock: SkippingClock) => Promise<void>,
): Promise<void> {
  const clock = new SkippingClock();
  await use(clock);
  if (clock.waiting === 0) return;
  throw new Error(`${clock.waiting} timeouts have not been cancelled`);
}
