/**
 * Datagrams that wait to be asked for.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";

/** What a datagram that came through a proxy carries, which is yours, and who sent it. */
export type ReceivedDatagram = [payload: Uint8Array, from: Endpoint];

interface Taker {
  resolve(result: IteratorResult<ReceivedDatagram, undefined>): void;
  reject(error: unknown): void;
}

/** What one costs beside its payload, so that empty ones are bounded as well. */
const OVERHEAD = 256;

/** Bounded: when it is full, the newest are lost, as in a socket's buffer. */
export class DatagramQueue {
  readonly #limit: number;
  #waiting: ReceivedDatagram[] = [];
  #size = 0;
  #takers: Taker[] = [];
  #over = false;
  #error: unknown;

  /** `limit` in octets of payload, of which each datagram costs 256 more. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Hands it to whoever waits, or keeps it; `false` when it is full or over. */
  push(received: ReceivedDatagram): boolean {
    if (this.#over) return false;
    const taker = this.#takers.shift();
    if (taker) {
      taker.resolve({ done: false, value: received });
      return true;
    }
    const size = this.#size + cost(received);
    if (size > this.#limit) return false;
    this.#waiting.push(received);
    this.#size = size;
    return true;
  }

  /** The next one; behind the last one the error that ended it, once, and then `done`. */
  next(): Promise<IteratorResult<ReceivedDatagram, undefined>> {
    const received = this.#waiting.shift();
    if (received) {
      this.#size -= cost(received);
      return Promise.resolve({ done: false, value: received });
    }
    if (!this.#over) {
      return new Promise((resolve, reject) =>
        this.#takers.push({ resolve, reject })
      );
    }
    const error = this.#error;
    this.#error = undefined;
    return error === undefined
      ? Promise.resolve({ done: true, value: undefined })
      : Promise.reject(error);
  }

  /** Nothing more will come; what waits can still be had. */
  end(error?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    const takers = this.#takers;
    this.#takers = [];
    for (const { resolve, reject } of takers) this.next().then(resolve, reject);
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting = [];
    this.#size = 0;
    this.#error = undefined;
  }
}

function cost([payload]: ReceivedDatagram): number {
  return payload.length + OVERHEAD;
}
