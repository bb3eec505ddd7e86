/**
 * A clock that tests control.
 *
 * @module
 */

import type { Clock } from "../../src/transport/clock.ts";
import type { Timeout } from "../../src/transport/timeouts.ts";

/** A clock that advances only by {@linkcode FakeClock.advance}. */
export class FakeClock implements Clock {
  #now = 1_000;
  readonly #waiting = new Set<{ at: number; onTimeout: () => void }>();

  /** The number of pending timeouts. */
  get timers(): number {
    return this.#waiting.size;
  }

  now(): number {
    return this.#now;
  }

  startTimeout<T = undefined>(
    ms: number,
    onTimeout: (argument: T) => void,
    argument?: T,
  ): Timeout {
    const call = () => onTimeout(argument as T);
    const entry = { at: this.#now + ms, onTimeout: call };
    this.#waiting.add(entry);
    return { cancel: () => void this.#waiting.delete(entry) };
  }

  /** Advances the time and calls the timeouts that expire. */
  advance(ms: number): void {
    this.#now += ms;
    for (const entry of [...this.#waiting]) {
      if (entry.at > this.#now) continue;
      this.#waiting.delete(entry);
      entry.onTimeout();
    }
  }

  /** Advances the time in steps; after each one, promises settle and `each` is called. */
  async run(ms: number, step: number, each = () => {}): Promise<void> {
    for (let passed = 0; passed < ms; passed += step) {
      this.advance(step);
      await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
      for (let i = 0; i < 50; i++) await undefined;
      each();
    }
  }
}
