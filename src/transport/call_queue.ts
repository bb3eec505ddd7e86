/**
 * Calls of a connection that must not overlap.
 *
 * @module
 */

/**
 * Runs calls one after the other: a chunk that is written in parts must not be mixed
 * with the next one, and FIN comes after all of them.
 */
export class CallQueue {
  #unsettled = 0;
  #last: Promise<void> | undefined;

  /** Starts the call when all earlier ones have settled, at once if they have. */
  add(call: () => Promise<void>): Promise<void> {
    const before = this.#unsettled++ > 0 ? this.#last : undefined;
    const settled = before ? before.then(call, call) : call();
    return this.#last = settled.finally(() => {
      this.#unsettled--;
    });
  }
}
