/**
 * Cuts a stream into messages whose size is in their header.
 *
 * @module
 */

import { dataMessageSize, HEADER_SIZE, MAX_TOKEN } from "../protocol/gssapi.ts";

const NONE = new Uint8Array(0);

/** Keeps at most the beginning of one message, and the last chunk. */
export class MessageQueue {
  /** Bytes of the last chunk that have not been taken. */
  #chunk: Uint8Array = NONE;
  /** The beginning of a message that goes on in the next chunk. */
  #partial: Uint8Array | undefined;
  #filled = 0;

  /** Whether the stream must not end here. */
  get isInMessage(): boolean {
    return this.#filled > 0 || this.#chunk.length > 0;
  }

  /** Adds a chunk, after {@linkcode take} has returned `undefined`. */
  add(chunk: Uint8Array): void {
    this.#chunk = chunk;
  }

  /**
   * The next message, which may be changed by the next call; `undefined` if it is not
   * complete.
   *
   * @throws {ProtocolError} if the stream has something else.
   */
  take(): Uint8Array | undefined {
    if (this.#filled > 0) return this.#complete();
    const size = dataMessageSize(this.#chunk);
    if (size === undefined || size > this.#chunk.length) {
      if (this.#chunk.length > 0) this.#keep(this.#chunk.length);
      else this.#partial = undefined; // an idle connection has no buffer
      return undefined;
    }
    const message = this.#chunk.subarray(0, size);
    this.#drop(size);
    return message;
  }

  /** Continues the message that an earlier chunk began. */
  #complete(): Uint8Array | undefined {
    this.#keep(HEADER_SIZE - this.#filled);
    const size = dataMessageSize(this.#partial!.subarray(0, this.#filled));
    if (size === undefined) return undefined;
    this.#keep(size - this.#filled);
    if (this.#filled < size) return undefined;
    const message = this.#partial!.subarray(0, size);
    this.#filled = 0;
    return message;
  }

  /** Moves up to `count` bytes of the chunk to the beginning of a message. */
  #keep(count: number): void {
    const bytes = this.#chunk.subarray(0, Math.max(count, 0));
    if (bytes.length === 0) return;
    this.#partial ??= new Uint8Array(HEADER_SIZE + MAX_TOKEN);
    this.#partial.set(bytes, this.#filled);
    this.#filled += bytes.length;
    this.#drop(bytes.length);
  }

  /** An empty array at the end of a chunk would keep its memory. */
  #drop(count: number): void {
    this.#chunk = count < this.#chunk.length
      ? this.#chunk.subarray(count)
      : NONE;
  }
}
