/**
 * Memory for many small things that are soon gone.
 *
 * @module
 */

const SIZE = 64 * 1024;

let slab = new Uint8Array(0);
let used = 0;

/** `size` octets that nobody else has. They share a piece of memory with others, which is most of what a small array costs, and keep all of it. */
export function cut(size: number): Uint8Array {
  if (size > SIZE / 8) return new Uint8Array(size);
  if (used + size > slab.length) {
    slab = new Uint8Array(SIZE);
    used = 0;
  }
  return slab.subarray(used, used += size);
}
