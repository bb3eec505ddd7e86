/**
 * What the tables of this folder share: octets as hex text, the checks that
 * every decoder must pass, and random octets that are the same in every run.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Decode, ProtocolError } from "../../src/protocol/decode.ts";
import { test } from "./harness.ts";

/**
 * Octets from hex pairs, `"text"` and `count*pair`:
 * `octets('05 01 "abc" 3*FF')` is 05 01 61 62 63 FF FF FF.
 */
export function octets(text: string): Uint8Array {
  const parts = text.match(/"[^"]*"|\S+/g) ?? [];
  return Uint8Array.from(parts.flatMap(part));
}

function part(text: string): number[] {
  if (text.startsWith('"')) {
    return [...new TextEncoder().encode(text.slice(1, -1))];
  }
  const [, count = "1", pair] = /^(?:(\d+)\*)?([0-9a-f]{2})$/i.exec(text) ?? [];
  if (pair === undefined) throw new Error(`Not octets: ${text}`);
  return new Array<number>(Number(count)).fill(parseInt(pair, 16));
}

/** A message that a decoder takes: name, octets, value. */
export type Taken<T> = readonly [name: string, octets: string, value: T];

/**
 * What a decoder refuses: name, octets, the error's code. It must throw at the
 * last of the octets, not before, and whatever follows.
 */
export type Refused = readonly [name: string, octets: string, code: string];

/** Registers a test for each row. */
export function testDecoder<T>(
  decode: Decode<T>,
  taken: readonly Taken<T>[],
  refused: readonly Refused[],
): void {
  for (const [name, text, value] of taken) {
    test(`${decode.name}() takes ${name}`, () => {
      assertTakes(decode, octets(text), value);
    });
  }
  for (const [name, text, code] of refused) {
    test(`${decode.name}() refuses ${name}`, () => {
      assertRefuses(decode, octets(text), code);
    });
  }
}

/** Passes when the message is taken whole, however it arrives. */
export function assertTakes<T>(
  decode: Decode<T>,
  message: Uint8Array,
  value: T,
): void {
  assertWaits(decode, message);
  const expected = { value, size: message.length };
  assertEquals(decode(message), expected);
  for (const behind of ["00", "FF", '05 01 00 "data"', "1000*00"]) {
    assertEquals(decode(join(message, octets(behind))), expected, behind);
  }
  // The value must survive that the input's memory is used again.
  const input = message.slice();
  const decoded = decode(input);
  input.fill(0xaa);
  assertEquals(decoded, expected);
}

/** Passes when the decoder throws at the last octet and stays with it. */
export function assertRefuses<T>(
  decode: Decode<T>,
  message: Uint8Array,
  code: string,
): void {
  assertWaits(decode, message);
  for (const behind of ["", "00", "FF", "1000*61"]) {
    assertEquals(outcome(decode, join(message, octets(behind))), code, behind);
  }
}

/** Passes when every proper prefix needs more octets. */
function assertWaits<T>(decode: Decode<T>, message: Uint8Array): void {
  for (let length = 0; length < message.length; length++) {
    const prefix = message.subarray(0, length);
    assertEquals(outcome(decode, prefix), "more", `${length} octets`);
  }
}

/**
 * `"more"`, `"message"`, or the code of a `ProtocolError`; any other error is
 * passed on.
 */
export function outcome<T>(decode: Decode<T>, input: Uint8Array): string {
  try {
    return decode(input) === undefined ? "more" : "message";
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
}

/** Passes when exactly the first octet `version` is let through. */
export function assertVersion<T>(decode: Decode<T>, version: number): void {
  for (let first = 0; first <= 255; first++) {
    const expected = first === version ? "more" : "version";
    assertEquals(outcome(decode, Uint8Array.of(first)), expected, `${first}`);
  }
}

/** One after the other. */
export function join(...chunks: Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

/** Integers from 0 to below `limit`, the same for the same seed (mulberry32). */
export function random(seed: number): (limit: number) => number {
  return (limit) => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return Math.floor(((t ^ t >>> 14) >>> 0) / 2 ** 32 * limit);
  };
}
