/**
 * The buffers that Deno reads into.
 *
 * A pending read holds its buffer and cannot be taken back. Every wait therefore starts
 * with a small buffer, and a direction of a relay has a large one only while its reads
 * are large.
 *
 * @module
 */

/** The sizes of buffers in bytes: the first for waits that may be long, the others for data. */
export const SIZES = [256, 4 * 1024, 16 * 1024, 64 * 1024, 256 * 1024] as const;
const LARGEST = SIZES.length - 1;
/** The largest size while there are more bytes than {@linkcode LIMIT}. */
const MODEST = 2;
/** The largest size for a chunk that its reader owns. */
export const OWNED = 3;
/** Above this many bytes in larger buffers, a read that left room is followed by the smallest. */
const PLENTY = 16 * 1024 * 1024;
/** Above this many bytes in larger buffers, new ones have the size {@linkcode MODEST} at most. */
const LIMIT = 64 * 1024 * 1024;
/** How many bytes of each size are kept for reuse. */
const SPARE = 4 * 1024 * 1024;
const SLAB_SIZE = 64 * 1024;
const spare: Uint8Array[][] = SIZES.map(() => []);
let larger = 0;

/** Returns the size for the next read, after a read of `length` bytes into a buffer of `size`. */
export function nextSize(size: number, length: number): number {
  if (length === SIZES[size]) return Math.min(size + 2, LARGEST);
  if (larger > PLENTY) return 0;
  while (size > 0 && length < SIZES[size - 1]) size--;
  return size;
}

/** Returns a buffer of this size, or a smaller one while there are too many large ones. */
export function takeBuffer(size: number): Uint8Array {
  if (size > MODEST && larger + SIZES[size] > LIMIT) size = MODEST;
  if (size > 0) larger += SIZES[size];
  else if (spare[0].length === 0) cutSlab();
  return spare[size].pop() ?? new Uint8Array(SIZES[size]);
}

/** Takes back a buffer that is no longer used by a read or a write. */
export function giveBuffer(buffer: Uint8Array): void {
  const size = sizeOf(buffer);
  if (size > 0) larger -= buffer.length;
  if (spare[size].length * buffer.length < SPARE) spare[size].push(buffer);
}

/** Returns the index of a buffer's size. */
export function sizeOf(buffer: Uint8Array): number {
  return SIZES.indexOf(buffer.length as typeof SIZES[number]);
}

/** Creates the smallest buffers out of one `ArrayBuffer`, to share its overhead. */
function cutSlab(): void {
  const slab = new ArrayBuffer(SLAB_SIZE);
  for (let at = 0; at < SLAB_SIZE; at += SIZES[0]) {
    spare[0].push(new Uint8Array(slab, at, SIZES[0]));
  }
}
