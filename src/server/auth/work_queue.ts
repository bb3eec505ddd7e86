/**
 * A queue for expensive work.
 *
 * @module
 */

/** Bounds of a {@linkcode WorkQueue}. */
export interface WorkQueueOptions {
  /** How many tasks run at the same time. */
  readonly atOnce: number;
  /** How many others may wait. */
  readonly waiting: number;
  /** How many, running or waiting, may belong to the same client. */
  readonly perClient: number;
}

/** First come, first served. */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting: (() => Promise<void>)[] = [];
  /** Work that is running or waiting, by client. */
  readonly #counts = new Map<string, number>();
  #busy = 0;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /**
   * Runs `work`, possibly after a wait, and resolves with its result. Returns `undefined`
   * if the queue is full.
   */
  run<T>(client: string, work: () => Promise<T>): Promise<T> | undefined {
    const { atOnce, waiting, perClient } = this.#options;
    const count = this.#counts.get(client) ?? 0;
    const isFull = this.#busy >= atOnce && this.#waiting.length >= waiting;
    if (isFull || count >= perClient) return undefined;
    this.#counts.set(client, count + 1);
    return new Promise((resolve, reject) => {
      this.#waiting.push(async () => {
        await Promise.resolve().then(work).then(resolve, reject);
        this.#release(client);
      });
      this.#next();
    });
  }

  #release(client: string): void {
    const left = this.#counts.get(client)! - 1;
    if (left > 0) this.#counts.set(client, left);
    else this.#counts.delete(client);
  }

  #next(): void {
    if (this.#busy >= this.#options.atOnce) return;
    const work = this.#waiting.shift();
    if (!work) return;
    this.#busy++;
    work().then(() => {
      this.#busy--;
      this.#next();
    });
  }
}
