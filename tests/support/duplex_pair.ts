/**
 * A connection within the process, as two streams of Node.js.
 *
 * @module
 */

import { Duplex } from "node:stream";

type Callback = (error?: Error | null) => void;

/** How many bytes are passed on at a time. */
const SEGMENT = 16 * 1024;

/** One end. A write is finished when the other end has asked for all of its bytes. */
class End extends Duplex {
  other!: End;
  #arriving = new Uint8Array(0);
  #written: Callback | undefined;

  override _read(): void {
    if (this.#arriving.length > 0) {
      const segment = this.#arriving.slice(0, SEGMENT);
      this.#arriving = this.#arriving.subarray(segment.length);
      return void this.push(segment);
    }
    const written = this.#written;
    this.#written = undefined;
    written?.();
  }

  override _write(
    chunk: Uint8Array,
    _encoding: string,
    callback: Callback,
  ): void {
    const { other } = this;
    if (other.destroyed) return callback(failure("EPIPE"));
    other.#written = callback;
    other.#arriving = new Uint8Array(chunk);
    other._read();
  }

  override _final(callback: Callback): void {
    if (!this.other.destroyed) this.other.push(null);
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    const written = this.#written;
    this.#written = undefined;
    written?.(failure("EPIPE"));
    if (error) this.other.destroy(failure("ECONNRESET"));
    callback(error);
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** Returns the two ends of a connection, which end writing by themselves at the peer's FIN. */
export function duplexPair(): [Duplex, Duplex] {
  const [a, b] = [1, 2].map(() => new End({ allowHalfOpen: false }));
  a.other = b;
  b.other = a;
  return [a, b];
}
