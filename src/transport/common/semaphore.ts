/**
 * A limit for the number of operations that run at a time. An operation that still waits
 * can be cancelled.
 *
 * @module
 */

import type { AbortSignalLike } from "../signal.ts";
import { abortError } from "../errors.ts";

/** A counting semaphore; waiters are served in the order of their calls. */
export class Semaphore {
  readonly #permits: number;
  #running = 0;
  /** Starts the waiters, in their order. */
  readonly #waiters = new Set<() => void>();

  /** Creates a semaphore that runs up to `permits` operations at a time. */
  constructor(permits: number) {
    this.#permits = permits;
  }

  /**
   * Runs `work` as soon as there is a permit. Rejects without running it if the signal
   * fires first.
   */
  async run<T>(work: () => Promise<T>, signal: AbortSignalLike): Promise<T> {
    if (signal.aborted) throw abortError(signal);
    if (this.#running < this.#permits) this.#running++;
    else await this.#acquire(signal);
    try {
      return await work();
    } finally {
      const [next] = this.#waiters;
      if (next) next(); // it takes over this permit
      else this.#running--;
    }
  }

  #acquire(signal: AbortSignalLike): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiters.delete(start);
        reject(abortError(signal));
      };
      const start = () => {
        this.#waiters.delete(start);
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      this.#waiters.add(start);
      signal.addEventListener("abort", onAbort);
    });
  }
}
