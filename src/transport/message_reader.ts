/**
 * Whole messages from a stream that may split or join them anywhere.
 *
 * @module
 */

import type { Conn } from "./transport.ts";
import { NetError } from "./errors.ts";

/**
 * Finds a message at the front of `octets`: the message and how many octets it
 * took, or `undefined` when more octets are needed. It bounds what it will wait
 * for and throws when the octets can't become a message.
 */
export type MessageDecoder<T> = (
  octets: Uint8Array,
) => { readonly value: T; readonly size: number } | undefined;

const NONE = new Uint8Array(0);

/** Reads messages, one after the other, from one connection. */
export class MessageReader {
  readonly #conn: Conn;
  #octets: Uint8Array = NONE;

  /** Takes the connection's reading side over until {@linkcode release}. */
  constructor(conn: Conn) {
    this.#conn = conn;
  }

  /**
   * The next message. Rejects with what `decode` throws, with a `NetError` of
   * the connection, or with one of kind `ended` when FIN comes in its midst.
   */
  async read<T>(decode: MessageDecoder<T>): Promise<T> {
    while (true) {
      const value = this.take(decode);
      if (value !== undefined) return value;
      const chunk = await this.#conn.read();
      if (chunk === null) {
        throw new NetError("ended", "the peer hung up in mid-message");
      }
      this.#octets = this.#octets.length > 0
        ? join(this.#octets, chunk)
        : chunk;
    }
  }

  /** The next message if it has arrived already; throws what `decode` throws. */
  take<T>(decode: MessageDecoder<T>): T | undefined {
    if (this.#octets.length === 0) return undefined;
    const message = decode(this.#octets);
    if (message === undefined) return undefined;
    const { value, size } = message;
    if (size === this.#octets.length) this.#octets = NONE;
    else if (size > 0) this.#octets = this.#octets.subarray(size);
    return value;
  }

  /** Gives the connection back, with what was read beyond the last message. */
  release(): Conn {
    this.#conn.unread(this.#octets);
    this.#octets = NONE;
    return this.#conn;
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
