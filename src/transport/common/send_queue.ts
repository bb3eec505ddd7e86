/**
 * Datagrams one after the other, for a runtime that sends without waiting for
 * its turn and does not tell how much it has yet to send.
 *
 * @module
 */

import { MAX_UNSENT, WAITING_COST } from "./checks.ts";

/** Begins to send a datagram; `done` is called when it has left or is lost. */
export type StartSend = (
  payload: Uint8Array,
  hostname: string,
  port: number,
  done: () => void,
) => void;

interface Waiting {
  readonly payload: Uint8Array;
  readonly hostname: string;
  readonly port: number;
}

/** Sends in the order of the calls. A socket of Deno's that has not sent before does not: it needs a turn of the event loop to know that it may. */
export class SendQueue {
  readonly #start: StartSend;
  readonly #waiting: Waiting[] = [];
  #octets = 0;
  #sending = false;
  #onIdle: (() => void) | undefined;

  constructor(start: StartSend) {
    this.#start = start;
  }

  /** Sends, when all before it is done; loses what would wait behind too much. */
  send(payload: Uint8Array, hostname: string, port: number): void {
    if (!this.#sending) {
      this.#sending = true;
      return this.#start(payload, hostname, port, this.#next);
    }
    if (this.#octets + payload.length > MAX_UNSENT) return;
    this.#octets += payload.length + WAITING_COST;
    const own = new Uint8Array(payload);
    this.#waiting.push({ payload: own, hostname, port });
  }

  /** Calls `close` as soon as nothing is on its way: Deno gives up what is. */
  close(close: () => void): void {
    if (this.#sending) this.#onIdle = close;
    else close();
  }

  readonly #next = (): void => {
    const next = this.#waiting.shift();
    if (!next) {
      this.#sending = false;
      return this.#onIdle?.();
    }
    this.#octets -= next.payload.length + WAITING_COST;
    this.#start(next.payload, next.hostname, next.port, this.#next);
  };
}
