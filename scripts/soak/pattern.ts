/**
 * A stream of octets that depend on their position, so that lost, added and
 * reordered octets are detected.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** Not a multiple of any common buffer size. */
const PERIOD = 257 * 1021;

/** Two periods, so that a whole period can be read from any offset. */
const octets = new Uint8Array(2 * PERIOD);
for (let i = 0, x = 1; i < PERIOD; i++) {
  x = (x * 48_271) % 0x7fffffff;
  octets[i] = octets[i + PERIOD] = x >> 8;
}

/** Returns the octets of the stream from an offset, at most one period. */
export function patternAt(
  offset: number,
  length: number,
): Uint8Array<ArrayBuffer> {
  const start = offset % PERIOD;
  return octets.subarray(start, start + Math.min(length, PERIOD));
}

/** Whether the octets are those of the stream at an offset. */
export function isPattern(chunk: Uint8Array, offset: number): boolean {
  for (let i = 0; i < chunk.length; i += PERIOD) {
    const part = chunk.subarray(i, i + PERIOD);
    if (Buffer.compare(part, patternAt(offset + i, part.length)) !== 0) {
      return false;
    }
  }
  return true;
}
