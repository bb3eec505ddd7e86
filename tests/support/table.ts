/**
 * Helpers for table-driven tests of codecs: octets as hexadecimal text, the
 * checks that every decoder must pass, and reproducible random numbers.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Decode, ProtocolError } from "../../src/protocol/decode.ts";
import { test } from "./harness.ts";

/**
 * Parses octets from hexadecimal pairs, `"text"` and `count*pair`:
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

/** A message that a decoder accepts: name, octets, value. */
export type Taken<T> = readonly [name: string, octets: string, value: T];

/**
 * An input that a decoder rejects: name, octets, code of the error. The decoder
 * must throw at the last octet, not before, regardless of the octets after it.
 */
export type Refused = readonly [name: string, octets: string, code: string];

/** Registers a test for each row. */
export function testDecoder<T>(
  decode: Decode<T>,
  taken: readonly Taken<T>[],
  refused: readonly Refused[],
): void {
  for (const [name, text, value] of taken) {
    test(`${decode.name}() accepts ${name}`, () => {
      assertTakes(decode, octets(text), value);
    });
  }
  for (const [name, text, code] of refused) {
    test(`${decode.name}() rejects ${name}`, () => {
      assertRefuses(decode, octets(text), code);
    });
  }
}

/** Passes if the message is decoded once it is complete, whatever follows it. */
export function assertTakes<T>(
  decode: Decode<T>,
  message: Uint8Array,
  value: T,
): void {
  assertWaits(decode, message);
  const expected = { value, size: message.length };
  assertEquals(decode(message), expected);
  for (const suffix of ["00", "FF", '05 01 00 "data"', "1000*00"]) {
    assertEquals(decode(join(message, octets(suffix))), expected, suffix);
  }
  // The value must not change when the memory of the input is reused.
  const input = message.slice();
  const decoded = decode(input);
  input.fill(0xaa);
  assertEquals(decoded, expected);
}

/** Passes if the decoder throws at the last octet, and for every longer input. */
export function assertRefuses<T>(
  decode: Decode<T>,
  message: Uint8Array,
  code: string,
): void {
  assertWaits(decode, message);
  for (const suffix of ["", "00", "FF", "1000*61"]) {
    assertEquals(outcome(decode, join(message, octets(suffix))), code, suffix);
  }
}

/** Passes if the decoder asks for more octets for every proper prefix. */
function assertWaits<T>(decode: Decode<T>, message: Uint8Array): void {
  for (let length = 0; length < message.length; length++) {
    const prefix = message.subarray(0, length);
    assertEquals(outcome(decode, prefix), "more", `${length} octets`);
  }
}

/**
 * Returns `"more"`, `"decoded"`, or the code of a `ProtocolError`; rethrows any
 * other error.
 */
export function outcome<T>(decode: Decode<T>, input: Uint8Array): string {
  try {
    return decode(input) === undefined ? "more" : "decoded";
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
}

/** Runs a test that catches many errors; their stacks would take most of its time. */
export function withoutStacks(run: () => void): void {
  const { stackTraceLimit } = Error as { stackTraceLimit?: number };
  Object.assign(Error, { stackTraceLimit: 0 });
  try {
    run();
  } finally {
    Object.assign(Error, { stackTraceLimit });
  }
}

/** Passes if the decoder accepts `version` as the first octet, and no other. */
export function assertVersion<T>(decode: Decode<T>, version: number): void {
  for (let first = 0; first <= 255; first++) {
    const expected = first === version ? "more" : "version";
    assertEquals(outcome(decode, Uint8Array.of(first)), expected, `${first}`);
  }
}

/** Concatenates chunks. */
export function join(...chunks: Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

/** Random integers from 0 to `limit` - 1; a seed determines them (mulberry32). */
export function random(seed: number): (limit: number) => number {
  return (limit) => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return Math.floor(((t ^ t >>> 14) >>> 0) / 2 ** 32 * limit);
  };
}
