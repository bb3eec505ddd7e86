/** The soak test: the verdict on a server, and the detection of lost octets. */

import { assert, assertEquals } from "@std/assert";
import { isPattern, patternAt } from "../../scripts/soak/pattern.ts";
import {
  complaints,
  type Observations,
  quarters,
} from "../../scripts/soak/verdict.ts";
import { test } from "../support/harness.ts";

const MIB = 2 ** 20;
const slack = { factor: 1.1, octets: 2 * MIB };

const flat: Observations = {
  memory: [90, 60, 60, 61, 60, 62, 61, 62].map((it) => it * MIB),
  descriptors: [20, 20, 20],
  done: 1_000,
  failures: [],
};

const rows: [name: string, seen: Partial<Observations>, says: string[]][] = [
  ["a flat server", {}, []],
  ["descriptors that cannot be known", { descriptors: [] }, []],
  ["one descriptor more", { descriptors: [20, 20, 21] }, [
    "pause 3: 21 descriptors instead of 20",
  ]],
  ["one descriptor less", { descriptors: [20, 19, 20] }, [
    "pause 2: 19 descriptors instead of 20",
  ]],
  [
    "memory at the limit",
    { memory: [50, 50, 57, 57].map((it) => it * MIB) },
    [],
  ],
  ["memory above it", { memory: [50, 50, 58, 58].map((it) => it * MIB) }, [
    "memory grew from 50 to 58 MiB",
  ]],
  ["no look at the memory", { memory: [] }, [
    "memory grew from NaN to NaN MiB",
  ]],
  ["a failure", { failures: ["visits: reply 1"] }, ["visits: reply 1"]],
  ["a server that does nothing", { done: 0 }, ["no errand succeeded"]],
];

for (const [name, seen, says] of rows) {
  test(`complaints() returns ${says.length} when it gets ${name}`, () => {
    assertEquals(complaints({ ...flat, ...seen }, slack), says);
  });
}

test("quarters() returns medians", () => {
  assertEquals(quarters([9, 9, 1, 2, 3, 3, 7, 5]), { second: 1.5, last: 6 });
});

test("isPattern() is true only at the right offset, across periods", () => {
  for (const offset of [0, 1, 262_396, 262_397, 5_000_000]) {
    const octets = patternAt(offset, 4_096).slice();
    assert(isPattern(octets, offset), `${offset}`);
    assert(!isPattern(octets, offset + 1), `${offset} + 1`);
    octets[4_095] ^= 1;
    assert(!isPattern(octets, offset), `${offset}, changed`);
  }
  const long = new Uint8Array([
    ...patternAt(0, 262_397),
    ...patternAt(262_397, 262_397),
  ]);
  assert(isPattern(long, 0));
  assertEquals(isPattern(long.subarray(7), 7), true);
});
