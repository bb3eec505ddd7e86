/**
 * Whole messages from a stream that may split or join them anywhere.
 *
 * @module
 */

import type { Conn } from "./transport.ts";
import { NetError } from "./errors.ts";
import { putBack } from "./quiet.ts";

/**
 * Decodes the message at the start of `bytes`: returns the message and its size, or
 * `undefined` if more bytes are needed. It limits how many bytes it waits for, and
 * throws as soon as the bytes cannot become a message.
 */
export type MessageDecoder<T> = (
  bytes: Uint8Array,
) => { readonly value: T; readonly size: number } | undefined;

const NONE = new Uint8Array(0);

/**
 * Reads messages from a connection, one after the other.
 *
 * @example
 * ```ts
 * import { fromStreams, MessageReader } from "@x/socks5/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const conn = fromStreams({
 *   readable: ReadableStream.from([Uint8Array.of(2, 65), Uint8Array.of(66, 67)]),
 *   writable: new WritableStream(),
 * });
 * const reader = new MessageReader(conn);
 * // A length of one byte, then as many bytes
 * const message = await reader.read((bytes) => {
 *   const size = 1 + bytes[0];
 *   if (bytes.length < size) return undefined;
 *   return { value: bytes.slice(1, size), size };
 * });
 * assertEquals(message, Uint8Array.of(65, 66));
 * assertEquals(await reader.release().read(), Uint8Array.of(67));
 * conn.close();
 * ```
 */
export class MessageReader {
  readonly #conn: Conn;
  #bytes: Uint8Array = NONE;

  /** Takes over reading from the connection until {@linkcode release}. */
  constructor(conn: Conn) {
    this.#conn = conn;
  }

  /**
   * Reads the next message. Rejects with the error that `decode` throws, with a
   * `NetError` of the connection, or with one of kind `ended` if the peer sends FIN
   * in the middle of a message.
   */
  async read<T>(decode: MessageDecoder<T>): Promise<T> {
    while (true) {
      const message = this.#next(decode);
      if (message) return message.value;
      const chunk = await this.#conn.read();
      if (chunk === null) {
        throw new NetError(
          "ended",
          "the peer sent FIN in the middle of a message",
        );
      }
      this.#bytes = this.#bytes.length > 0 ? join(this.#bytes, chunk) : chunk;
    }
  }

  /** Returns the next message if it has arrived; throws the error that `decode` throws. */
  take<T>(decode: MessageDecoder<T>): T | undefined {
    return this.#next(decode)?.value;
  }

  /** The message itself may be `undefined`, unlike the result of its decoder. */
  #next<T>(decode: MessageDecoder<T>): ReturnType<MessageDecoder<T>> {
    if (this.#bytes.length === 0) return undefined;
    const message = decode(this.#bytes);
    if (message === undefined) return undefined;
    const { size } = message;
    if (size === this.#bytes.length) this.#bytes = NONE;
    else if (size > 0) this.#bytes = this.#bytes.subarray(size);
    return message;
  }

  /** Returns the connection, with the bytes after the last message unread. */
  release(): Conn {
    if (this.#bytes.length > 0) putBack(this.#conn, this.#bytes);
    this.#bytes = NONE;
    return this.#conn;
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
