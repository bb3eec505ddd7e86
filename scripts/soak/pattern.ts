/**
 * Octets that tell where in a stream they are, so that whatever is lost, added
 * or out of order shows.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** Not a power of two: no buffer size repeats in step with it. */
const PERIOD = 257 * 1021;

/** Two periods, so that one can be read from any place. */
const octets = new Uint8Array(2 * PERIOD);
for (let i = 0, x = 1; i < PERIOD; i++) {
  x = (x * 48_271) % 0x7fffffff;
  octets[i] = octets[i + PERIOD] = x >> 8;
}

/** The octets from this place of the stream on, at most a period. */
export function patternAt(
  offset: number,
  length: number,
): Uint8Array<ArrayBuffer> {
  const start = offset % PERIOD;
  return octets.subarray(start, start + Math.min(length, PERIOD));
}

/** Whether the octets are those of this place of the stream. */
export function isPattern(chunk: Uint8Array, offset: number): boolean {
  for (let i = 0; i < chunk.length; i += PERIOD) {
    const part = chunk.subarray(i, i + PERIOD);
    if (Buffer.compare(part, patternAt(offset + i, part.length)) !== 0) {
      return false;
    }
  }
  return true;
}
