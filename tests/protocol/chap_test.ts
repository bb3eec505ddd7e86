/** The messages of CHAP (draft-ietf-aft-socks-chap-01). */

import { assertEquals, assertThrows } from "@std/assert";
import {
  ATTRIBUTE,
  type Attribute,
  decodeMessage,
  encodeMessage,
  findAttribute,
} from "../../src/protocol/chap.ts";
import { ProtocolError } from "../../src/protocol/decode.ts";
import { test } from "../support/harness.ts";
import { assertVersion, octets, testDecoder } from "../support/table.ts";

/** Attributes of types and values in the notation of {@linkcode octets}. */
function message(...attributes: [type: number, value: string][]): Attribute[] {
  return attributes.map(([type, value]) => ({ type, value: octets(value) }));
}

const { algorithms, challenge, response, status, user } = ATTRIBUTE;

/** Name, octets, attributes. The first four are those of PuTTY's plink 0.83. */
const valid: [string, string, Attribute[]][] = [
  [
    "algorithms and a user",
    '01 02 11 01 85 02 05 "alice"',
    message([algorithms, "85"], [user, '"alice"']),
  ],
  [
    "a chosen algorithm and a challenge",
    "01 02 11 01 85 03 20 32*C7",
    message([algorithms, "85"], [challenge, "32*C7"]),
  ],
  ["a response", "01 01 04 10 16*AB", message([response, "16*AB"])],
  ["a status", "01 01 00 01 00", message([status, "00"])],
  ["an empty value", "01 01 02 00", message([user, ""])],
  [
    "an unknown type",
    "01 02 EE 01 05 00 01 01",
    message([0xee, "05"], [0, "01"]),
  ],
  ["a type twice", "01 02 00 01 01 00 00", message([0, "01"], [0, ""])],
  ["the longest value", "01 01 02 FF 255*75", message([user, "255*75"])],
  [
    "255 attributes",
    `01 FF ${"05 00 ".repeat(255)}`,
    message(...Array<[number, string]>(255).fill([5, ""])),
  ],
  [
    "2,048 octets",
    `01 08 ${"01 FF 255*61 ".repeat(7)} 01 F5 245*61`,
    message(...Array<[number, string]>(7).fill([1, "255*61"]), [1, "245*61"]),
  ],
];

testDecoder(decodeMessage, valid, [
  ["no attribute", "01 00", "message"],
  ["an HTTP request", "47", "version"],
  ["2,049 octets", `01 08 ${"01 FF 255*61 ".repeat(7)} 01 F6`, "message"],
  [
    "attributes that leave no room for the others",
    `01 FF ${"01 FF 255*61 ".repeat(6)} 01 07`,
    "message",
  ],
]);

test("decodeMessage() requires version 1", () => {
  assertVersion(decodeMessage, 1);
});

for (const [name, text, attributes] of valid) {
  test(`encodeMessage() encodes ${name}`, () => {
    assertEquals(encodeMessage(attributes), octets(text));
  });
}

test("encodeMessage() throws for values that do not fit", () => {
  const invalid: Attribute[][] = [
    [],
    Array<Attribute>(256).fill({ type: 1, value: octets("") }),
    message([1, "256*00"]),
    message([256, ""]),
    message([-1, ""]),
    message([1.5, ""]),
  ];
  for (const attributes of invalid) {
    assertThrows(() => encodeMessage(attributes), TypeError);
  }
});

test("findAttribute() finds the only attribute of a type", () => {
  const found = message([1, "61"], [2, ""], [3, "62"], [3, "62"]);
  assertEquals(findAttribute(found, 1), octets("61"));
  assertEquals(findAttribute(found, 2), octets(""));
  assertEquals(findAttribute(found, 4), undefined);
  const error = assertThrows(() => findAttribute(found, 3), ProtocolError);
  assertEquals(error.code, "message");
});
