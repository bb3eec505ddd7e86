/**
 * Watching over a client that waits for something.
 *
 * @module
 */

import type { Conn } from "../../transport/transport.ts";

/** Octets of a waiting client that are kept; one that sends more is not read any further, so that its end is not seen. */
const LIMIT = 64 * 1024;

/** Tells when the client hangs up, also behind octets that it sends too early, which are kept for whom they are meant. */
export class HangupWatch {
  readonly #conn: Conn;
  readonly #onGone: (error?: Error) => void;
  readonly #early: Uint8Array[] = [];
  #size = 0;
  #reading: Promise<void> | undefined;
  #over = false;

  /** `onGone` is called at most once, and not after {@linkcode end}. */
  constructor(conn: Conn, onGone: (error?: Error) => void) {
    this.#conn = conn;
    this.#onGone = onGone;
    this.#watch();
  }

  /** Puts back what was read; the connection can be used again when it has resolved. */
  async end(): Promise<void> {
    this.#over = true;
    await this.#reading;
    while (this.#early.length > 0) this.#conn.unread(this.#early.pop()!);
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
    const chunk = await this.#conn.read().catch(() => null); // peek() will tell
    if (!chunk) return;
    this.#early.push(chunk);
    this.#size += chunk.length;
  }
}
