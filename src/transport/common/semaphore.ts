/**
 * Work that is done a few at a time, and not at all when nobody wants it any
 * more before its turn has come.
 *
 * @module
 */

import type { AbortSignalLike } from "../signal.ts";
import { abortError } from "../errors.ts";

/** First come, first served. */
export class Semaphore {
  readonly #most: number;
  #running = 0;
  /** What waits, in its order; each is called when its turn has come. */
  readonly #waiting = new Set<() => void>();

  /** So many are done at a time. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Does it when its turn has come; rejects, and leaves it undone, when the signal fires before. */
  async run<T>(work: () => Promise<T>, signal: AbortSignalLike): Promise<T> {
    if (signal.aborted) throw abortError(signal);
    if (this.#running < this.#most) this.#running++;
    else await this.#acquire(signal);
    try {
      return await work();
    } finally {
      const [next] = this.#waiting;
      if (next) next(); // into this place
      else this.#running--;
    }
  }

  #acquire(signal: AbortSignalLike): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(begin);
        reject(abortError(signal));
      };
      const begin = () => {
        this.#waiting.delete(begin);
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      this.#waiting.add(begin);
      signal.addEventListener("abort", onAbort);
    });
  }
}
