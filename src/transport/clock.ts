/**
 * The clock that everything with a time limit uses.
 *
 * @module
 */

import { startTimeout, type Timeout } from "./timeouts.ts";

/**
 * A monotonic clock and its timeouts. A {@linkcode Transport} may bring its own
 * one, for example a test's; by default it is {@linkcode systemClock}.
 */
export interface Clock {
  /** The current time in milliseconds; never goes back. */
  now(): number;
  /**
   * Calls `onTimeout` once after `ms` milliseconds, unless it is cancelled first;
   * 0 and `Infinity` mean never. An `argument` for it saves a closure for each
   * timeout.
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
