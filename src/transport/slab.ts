/**
 * Memory for many small, short-lived byte arrays.
 *
 * @module
 */

const SIZE = 64 * 1024;

let slab = new Uint8Array(0);
let used = 0;

/**
 * Returns a new array of `size` bytes. Small arrays share an `ArrayBuffer`, because its
 * allocation is most of the cost of a small array. Each of them keeps the whole
 * `ArrayBuffer` alive.
 */
export function cut(size: number): Uint8Array {
  if (size > SIZE / 8) return new Uint8Array(size);
  if (used + size > slab.length) {
    slab = new Uint8Array(SIZE);
    used = 0;
  }
  return slab.subarray(used, used += size);
}
