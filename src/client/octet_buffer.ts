/**
 * Octets that wait for the rest of their message.
 *
 * @module
 */

/** No octets. */
export const NO_OCTETS: Uint8Array = new Uint8Array(0);

/** A queue of octets. Each is copied a bounded number of times, however small the chunks are. */
export class OctetBuffer {
  /** All octets that have been added and not dropped. */
  octets: Uint8Array = NO_OCTETS;
  /** The own memory that they are in, if any; otherwise they are in that of the last chunk. */
  #memory: Uint8Array | undefined;

  /** Adds octets, which must not change before {@linkcode keep}. */
  add(chunk: Uint8Array): void {
    const { length } = this.octets;
    if (length === 0) {
      this.octets = chunk;
      this.#memory = undefined;
      return;
    }
    const end = this.octets.byteOffset + length;
    if (!this.#memory || this.#memory.length - end < chunk.length) {
      this.#move(2 * (length + chunk.length));
    }
    const start = this.octets.byteOffset;
    this.#memory!.set(chunk, start + length);
    this.octets = this.#memory!.subarray(start, start + length + chunk.length);
  }

  /** Drops the first octets. */
  drop(size: number): void {
    this.octets = size < this.octets.length
      ? this.octets.subarray(size)
      : NO_OCTETS;
  }

  /** Makes the octets independent of the memory of the last chunk. */
  keep(): void {
    const { length } = this.octets;
    if (length > 0 && !this.#memory) this.#move(length);
  }

  #move(capacity: number): void {
    const memory = new Uint8Array(capacity);
    memory.set(this.octets);
    this.octets = memory.subarray(0, this.octets.length);
    this.#memory = memory;
  }
}

/** Joins two arrays of octets in a new one. */
export function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
