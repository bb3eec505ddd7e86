/**
 * Does costly work a few at a time.
 *
 * @module
 */

import { LocalKeyedLimit } from "../limits/keyed_limit.ts";

/** Bounds of a {@linkcode WorkQueue}. */
export interface WorkQueueOptions {
  /** How many are done at the same time. */
  readonly atOnce: number;
  /** How many more may wait for their turn. */
  readonly waiting: number;
  /** How many, done or waiting, may be of the same client. */
  readonly perClient: number;
}

/** First come, first served. */
export class WorkQueue {
  readonly #atOnce: number;
  readonly #maxWaiting: number;
  readonly #shares: LocalKeyedLimit;
  readonly #waiting: (() => Promise<void>)[] = [];
  #busy = 0;

  constructor({ atOnce, waiting, perClient }: WorkQueueOptions) {
    this.#atOnce = atOnce;
    this.#maxWaiting = waiting;
    this.#shares = new LocalKeyedLimit(perClient);
  }

  /** The outcome of `work`, which begins later and may have to wait for its turn; `undefined` when there is no room for it. */
  run<T>(client: string, work: () => Promise<T>): Promise<T> | undefined {
    const isFull = this.#busy >= this.#atOnce &&
      this.#waiting.length >= this.#maxWaiting;
    if (isFull || !this.#shares.acquire(client)) return undefined;
    return new Promise((resolve, reject) => {
      this.#waiting.push(async () => {
        await Promise.resolve().then(work).then(resolve, reject);
        this.#shares.release(client);
      });
      this.#next();
    });
  }

  #next(): void {
    if (this.#busy >= this.#atOnce) return;
    const work = this.#waiting.shift();
    if (!work) return;
    this.#busy++;
    work().then(() => {
      this.#busy--;
      this.#next();
    });
  }
}
