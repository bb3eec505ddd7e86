/**
 * Datagrams that wait for their receiver.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";

/** The payload of a datagram from a proxy, which the receiver owns, and its source. */
export type ReceivedDatagram = [payload: Uint8Array, from: Endpoint];

interface Taker {
  resolve(result: IteratorResult<ReceivedDatagram, undefined>): void;
  reject(error: unknown): void;
}

/** The cost of a datagram in addition to its payload, so that empty ones are bounded too. */
const OVERHEAD = 256;

/**
 * A bounded queue: when it is full the newest datagrams are dropped, as in the
 * buffer of a socket.
 */
export class DatagramQueue {
  readonly #limit: number;
  #waiting: ReceivedDatagram[] = [];
  #size = 0;
  #takers: Taker[] = [];
  #over = false;
  #error: unknown;

  /** `limit` in bytes of payload; each datagram costs 256 more. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Delivers or queues a datagram; `false` when the queue is full or over. */
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

  /**
   * The next datagram; after the last one the error that ended the queue, once, and
   * then `done`.
   */
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

  /** Accepts no more datagrams; the queued ones can still be taken. */
  end(error?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    const takers = this.#takers;
    this.#takers = [];
    for (const { resolve, reject } of takers) this.next().then(resolve, reject);
  }

  /** Drops the queued datagrams. */
  clear(): void {
    this.#waiting = [];
    this.#size = 0;
    this.#error = undefined;
  }
}

function cost([payload]: ReceivedDatagram): number {
  return payload.length + OVERHEAD;
}
