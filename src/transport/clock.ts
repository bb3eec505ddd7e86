/**
 * The clock of everything that has a time limit.
 *
 * @module
 */

import { startTimeout, type Timeout } from "./timeouts.ts";

/**
 * A monotonic clock and its timeouts. A {@linkcode Transport} may have another one, for
 * example in tests; the default is {@linkcode systemClock}.
 */
export interface Clock {
  /** Returns the current time in milliseconds; never goes back. */
  now(): number;
  /**
   * Calls `onTimeout` once after `ms` milliseconds, unless the timeout is cancelled
   * first; 0 and `Infinity` mean never. `argument` is passed to `onTimeout`, which
   * saves a closure per timeout.
   */
  startTimeout<T = undefined>(
    ms: number,
    onTimeout: (argument: T) => void,
    argument?: T,
  ): Timeout;
}

/** The clock of the runtime. */
export const systemClock: Clock = {
  now: () => performance.now(),
  startTimeout,
};
