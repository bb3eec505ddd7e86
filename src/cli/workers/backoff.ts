/**
 * The delay before a worker is restarted.
 *
 * @module
 */

/** A worker that ran at least this long is restarted immediately, in milliseconds. */
const STABLE = 10_000;
const FIRST = 1_000;
const MAX = 30_000;

/** An exponential backoff: the delay doubles until a worker has been stable. */
export class Backoff {
  #next = FIRST;

  /**
   * Returns the delay before the next start, in milliseconds.
   *
   * @param lasted How long the last worker ran, in milliseconds.
   */
  next(lasted: number): number {
    if (lasted >= STABLE) {
      this.#next = FIRST;
      return 0;
    }
    const delay = this.#next;
    this.#next = Math.min(2 * delay, MAX);
    return delay;
  }
}
