/**
 * The buffers that Deno reads into.
 *
 * A read that waits holds on to its buffer and cannot be called back, so every
 * wait begins with a small one, and a direction of a relay has a large one only
 * while its reads are large.
 *
 * @module
 */

/** The sizes of buffers: the first for a wait that may be long, the others as reads fill them. */
export const SIZES = [256, 4 * 1024, 16 * 1024, 64 * 1024, 256 * 1024] as const;
const LARGEST = SIZES.length - 1;
/** The largest size beyond {@linkcode LIMIT}. */
const MODEST = 2;
/** The largest size for a chunk that its reader owns. */
export const OWNED = 3;
/** Octets in larger buffers above which a read that left room is followed by the smallest. */
const PLENTY = 16 * 1024 * 1024;
/** Octets in larger buffers above which there are modest ones only. */
const LIMIT = 64 * 1024 * 1024;
/** Octets of each size that are kept for later use. */
const SPARE = 4 * 1024 * 1024;
const SLAB_SIZE = 64 * 1024;
const spare: Uint8Array[][] = SIZES.map(() => []);
let larger = 0;

/** The size to read into next, after a read of `length` octets into one of `size`. */
export function nextSize(size: number, length: number): number {
  if (length === SIZES[size]) return Math.min(size + 2, LARGEST);
  if (larger > PLENTY) return 0;
  while (size > 0 && length < SIZES[size - 1]) size--;
  return size;
}

/** A buffer of this size, or a smaller one while there are too many large ones. */
export function takeBuffer(size: number): Uint8Array {
  if (size > MODEST && larger + SIZES[size] > LIMIT) size = MODEST;
  if (size > 0) larger += SIZES[size];
  else if (spare[0].length === 0) cutSlab();
  return spare[size].pop() ?? new Uint8Array(SIZES[size]);
}

/** Takes a buffer back that no read and no write holds any more. */
export function giveBuffer(buffer: Uint8Array): void {
  const size = sizeOf(buffer);
  if (size > 0) larger -= buffer.length;
  if (spare[size].length * buffer.length < SPARE) spare[size].push(buffer);
}

/** Which size a buffer has. */
export function sizeOf(buffer: Uint8Array): number {
  return SIZES.indexOf(buffer.length as typeof SIZES[number]);
}

/** The smallest buffers share their memory's overhead; no two of them share an octet. */
function cutSlab(): void {
  const slab = new ArrayBuffer(SLAB_SIZE);
  for (let at = 0; at < SLAB_SIZE; at += SIZES[0]) {
    spare[0].push(new Uint8Array(slab, at, SIZES[0]));
  }
}
