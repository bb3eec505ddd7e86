/**
 * Sends datagrams one after the other, on a runtime that does not keep their order and
 * does not report how many bytes are still to be sent.
 *
 * @module
 */

import { MAX_UNSENT, QUEUED_COST } from "./checks.ts";

/** Starts to send a datagram; `done` is called when it is sent or lost. */
export type StartSend = (
  payload: Uint8Array,
  hostname: string,
  port: number,
  done: () => void,
) => void;

interface QueuedDatagram {
  readonly payload: Uint8Array;
  readonly hostname: string;
  readonly port: number;
}

/**
 * Sends in the order of the calls. A Deno socket does not keep that order before its first
 * datagram is sent: it needs a turn of the event loop to become writable.
 */
export class SendQueue {
  readonly #start: StartSend;
  readonly #queue: QueuedDatagram[] = [];
  #size = 0;
  #sending = false;
  #onIdle: (() => void) | undefined;

  constructor(start: StartSend) {
    this.#start = start;
  }

  /** Sends a datagram after all earlier ones; drops it if the queue is full. */
  send(payload: Uint8Array, hostname: string, port: number): void {
    if (!this.#sending) {
      this.#sending = true;
      return this.#start(payload, hostname, port, this.#next);
    }
    if (this.#size + payload.length > MAX_UNSENT) return;
    this.#size += payload.length + QUEUED_COST;
    const own = new Uint8Array(payload);
    this.#queue.push({ payload: own, hostname, port });
  }

  /** Calls `close` when everything is sent: closing a Deno socket drops pending datagrams. */
  close(close: () => void): void {
    if (this.#sending) this.#onIdle = close;
    else close();
  }

  readonly #next = (): void => {
    const next = this.#queue.shift();
    if (!next) {
      this.#sending = false;
      return this.#onIdle?.();
    }
    this.#size -= next.payload.length + QUEUED_COST;
    this.#start(next.payload, next.hostname, next.port, this.#next);
  };
}
