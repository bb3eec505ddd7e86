/** SipHash-2-4. */

import { assertEquals } from "@std/assert";
import { sipHash } from "../../src/crypto/sip_hash.ts";
import { test } from "../support/harness.ts";
import { hex } from "../support/raw.ts";

/** The vectors of the reference implementation: the octets 0, 1, 2, … */
const VECTORS: Readonly<Record<number, string>> = {
  0: "31 0e 0e dd 47 db 6f 72",
  1: "fd 67 dc 93 c5 39 f8 74",
  7: "37 d1 01 8b f5 00 02 ab",
  8: "62 24 93 9a 79 f5 f5 93",
  15: "e5 45 be 49 61 ca 29 a1",
  63: "72 45 06 eb 4c 32 8a 95",
};

test("sipHash() returns the values of the reference implementation", () => {
  const count = (length: number) => Uint8Array.from({ length }, (_, i) => i);
  for (const [length, expected] of Object.entries(VECTORS)) {
    assertEquals(hex(sipHash(count(16), count(+length))), expected, length);
  }
});

test("sipHash() depends on the key, and reads a part of a buffer", () => {
  const buffer = Uint8Array.from({ length: 40 }, (_, i) => i);
  const key = buffer.subarray(0, 16);
  const part = buffer.subarray(9, 21);
  assertEquals(sipHash(key, part), sipHash(key.slice(), part.slice()));
  const other = key.slice();
  other[15] ^= 1;
  assertEquals(
    sipHash(key, part).join() === sipHash(other, part).join(),
    false,
  );
});
