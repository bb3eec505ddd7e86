/**
 * How long to wait before a worker is started again.
 *
 * @module
 */

/** Milliseconds after which a worker that ends is no sign that the next one will. */
const STEADY = 10_000;
const FIRST = 1_000;
const LONGEST = 30_000;

/** Rests that grow as long as what follows them does not last. */
export class Backoff {
  #next = FIRST;

  /** Milliseconds to wait after one that lasted so many; none after a long time. */
  after(lasted: number): number {
    if (lasted >= STEADY) this.#next = FIRST;
    if (lasted >= STEADY) return 0;
    const rest = this.#next;
    this.#next = Math.min(2 * rest, LONGEST);
    return rest;
  }
}
