/**
 * The messages of a negotiation over a connection, and the way to take the
 * connection over: the same for both sides of an authentication method.
 *
 * @module
 */

import { closedError } from "./errors.ts";
import type { MessageDecoder, MessageReader } from "./message_reader.ts";
import type { Conn } from "./transport.ts";

/** How an authentication method talks to its peer. */
export interface Exchange {
  /** Reads the next message of the peer. Rejects with the errors of `decode` and of the connection. */
  read<T>(decode: MessageDecoder<T>): Promise<T>;
  /** Sends a message. */
  write(octets: Uint8Array): Promise<void>;
  /**
   * Takes the raw connection over, with the bytes that were read too far as its
   * next ones. From then on `read` and `write` reject: a method that wraps the
   * connection reads and writes through its wrapper.
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

  // Fields, so that a method can take them out of its exchange.

  readonly read = <T>(decode: MessageDecoder<T>): Promise<T> =>
    this.#taken ? Promise.reject(closedError()) : this.#reader.read(decode);

  readonly write = (octets: Uint8Array): Promise<void> =>
    this.#taken ? Promise.reject(closedError()) : this.#conn.write(octets);

  readonly take = (): Conn => {
    if (this.#taken) throw closedError();
    this.#taken = true;
    return this.#reader.release();
  };
}
