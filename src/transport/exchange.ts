/**
 * The messages of a negotiation over a connection, with a way to take over the
 * connection. The same for both sides of an authentication method.
 *
 * @module
 */

import { closedError } from "./errors.ts";
import type { MessageDecoder, MessageReader } from "./message_reader.ts";
import type { Conn } from "./transport.ts";

/** The connection to the peer as an authentication method sees it. */
export interface Exchange {
  /** Reads the peer's next message. Rejects with the errors of `decode` and of the connection. */
  read<T>(decode: MessageDecoder<T>): Promise<T>;
  /** Sends a message. */
  write(message: Uint8Array): Promise<void>;
  /**
   * Takes over the raw connection. Bytes that were read ahead are read from it again.
   * From then on `read` and `write` reject with kind `closed`, and another `take` throws:
   * a method that wraps the connection reads and writes through its wrapper.
   */
  take(): Conn;
}

/** An {@linkcode Exchange} over a connection and its reader. */
export class ConnExchange implements Exchange {
  readonly #conn: Conn;
  readonly #reader: MessageReader;
  #taken = false;

  constructor(conn: Conn, reader: MessageReader) {
    this.#conn = conn;
    this.#reader = reader;
  }

  // Fields, so that a method can destructure its exchange.

  readonly read = <T>(decode: MessageDecoder<T>): Promise<T> =>
    this.#taken ? Promise.reject(closedError()) : this.#reader.read(decode);

  readonly write = (message: Uint8Array): Promise<void> =>
    this.#taken ? Promise.reject(closedError()) : this.#conn.write(message);

  readonly take = (): Conn => {
    if (this.#taken) throw closedError();
    this.#taken = true;
    return this.#reader.release();
  };
}
