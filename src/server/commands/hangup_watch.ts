/**
 * Detects when a waiting client closes its connection.
 *
 * @module
 */

import { putBack } from "../../transport/quiet.ts";
import type { Conn } from "../../transport/transport.ts";

/**
 * The maximum number of early bytes that are kept. After that, the connection is no
 * longer read, and its end is not detected.
 */
const LIMIT = 64 * 1024;

/**
 * Detects when the client closes its connection, even after it has sent bytes early,
 * which are kept for the peer.
 */
export class HangupWatch {
  readonly #conn: Conn;
  readonly #onGone: (error?: Error) => void;
  readonly #early: Uint8Array[] = [];
  #size = 0;
  #reading: Promise<void> | undefined;
  #over = false;

  /** Calls `onGone` at most once, and not after {@linkcode end}. */
  constructor(conn: Conn, onGone: (error?: Error) => void) {
    this.#conn = conn;
    this.#onGone = onGone;
    this.#watch();
  }

  /**
   * Stops watching and puts the early bytes back. The connection may be used
   * when the promise has resolved.
   */
  async end(): Promise<void> {
    this.#over = true;
    await this.#reading;
    while (this.#early.length > 0) putBack(this.#conn, this.#early.pop()!);
  }

  async #watch(): Promise<void> {
    try {
      while (this.#size < LIMIT) {
        const more = await this.#conn.peek();
        if (this.#over) return;
        if (!more) return this.#onGone();
        await (this.#reading = this.#read());
      }
    } catch (error) {
      if (!this.#over) this.#onGone(error as Error);
    }
  }

  async #read(): Promise<void> {
    const chunk = await this.#conn.read().catch(() => null); // the next peek() rejects as well
    if (!chunk) return;
    this.#early.push(chunk);
    this.#size += chunk.length;
  }
}
