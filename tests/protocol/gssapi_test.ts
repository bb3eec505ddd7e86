import { assert, assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../src/protocol/decode.ts";
import {
  dataMessageSize,
  decodeMessage,
  encodeMessage,
  HEADER_SIZE,
  MAX_TOKEN,
  MESSAGE,
  type Message,
} from "../../src/protocol/gssapi.ts";
import { test } from "../support/harness.ts";
import {
  assertVersion,
  octets,
  random,
  testDecoder,
} from "../support/table.ts";

const NO_TOKEN = octets("");

testDecoder<Message>(decodeMessage, [
  ["a token", "01 01 00 02 60 00", {
    type: MESSAGE.authentication,
    token: octets("60 00"),
  }],
  ["a level", "01 02 00 01 02", {
    type: MESSAGE.protection,
    token: octets("02"),
  }],
  ["data", '01 03 00 05 "hello"', {
    type: MESSAGE.data,
    token: octets('"hello"'),
  }],
  ["an empty token", "01 01 00 00", {
    type: MESSAGE.authentication,
    token: NO_TOKEN,
  }],
  ["an abort, which has no length", "01 FF", {
    type: MESSAGE.abort,
    token: NO_TOKEN,
  }],
], [
  ["SOCKS5", "05", "version"],
  ["message type 0", "01 00", "message"],
  ["message type 4", "01 04", "message"],
  ["message type FE", "01 FE", "message"],
]);

test("decodeMessage() accepts a token of 65,535 octets", () => {
  const token = new Uint8Array(MAX_TOKEN).fill(7);
  const message = { type: MESSAGE.data, token };
  const sent = encodeMessage(message);
  assertEquals(decodeMessage(sent.subarray(0, -1)), undefined);
  assertEquals(decodeMessage(sent), { value: message, size: sent.length });
});

test("decodeMessage() accepts version 1 only", () => {
  assertVersion(decodeMessage, 1);
});

test("encodeMessage() throws when the token is too long, or an abort has one", () => {
  const type = MESSAGE.data;
  const token = new Uint8Array(MAX_TOKEN + 1);
  assertThrows(() => encodeMessage({ type, token }), TypeError, "65535");
  const abort = { type: MESSAGE.abort, token: octets("00") };
  assertThrows(() => encodeMessage(abort), TypeError, "no token");
});

test("encodeMessage() encodes an abort as two octets", () => {
  const abort = { type: MESSAGE.abort, token: NO_TOKEN };
  assertEquals(encodeMessage(abort), octets("01 FF"));
});

/** A row: octets, the size or the code of the error. */
const SIZES: readonly (readonly [string, number | string | undefined])[] = [
  ["", undefined],
  ["01", undefined],
  ["01 03 00", undefined],
  ["01 03 00 00", 4],
  ["01 03 01 02 FF", 4 + 0x102],
  ["01 03 FF FF", HEADER_SIZE + MAX_TOKEN],
  ["02", "version"],
  ["01 01", "message"],
  ["01 FF", "message"],
];

for (const [text, expected] of SIZES) {
  test(`dataMessageSize() returns or throws ${expected} for ${text || "nothing"}`, () => {
    let found: number | string | undefined;
    try {
      found = dataMessageSize(octets(text));
    } catch (error) {
      found = (error as { code: string }).code;
    }
    assertEquals(found, expected);
  });
}

const INPUTS = 1_000_000;

test(`the decoders of GSSAPI messages are sound on ${INPUTS} random inputs`, () => {
  const next = random(1961);
  const memory = new Uint8Array(24);
  const verdicts: Record<string, number> = {};
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // most of the time would go into the traces of errors
  for (let i = 0; i < INPUTS; i++) {
    const input = memory.subarray(0, next(memory.length));
    fill(input, next);
    const verdict = verdictOn(input);
    verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
    if (verdict === "decoded") checkMessage(input);
    else checkPrefix(input, verdict, next(input.length + 1));
  }
  Error.stackTraceLimit = stackTraceLimit;
  // Each verdict is frequent, or the test would not test it.
  for (const it of ["more", "decoded", "version", "message"]) {
    assert(verdicts[it] > INPUTS / 100, `${it}: ${verdicts[it]}`);
  }
});

/** `more`, `decoded`, or the code of the error. */
function verdictOn(input: Uint8Array): string {
  try {
    return decodeMessage(input) === undefined ? "more" : "decoded";
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
}

/** Random octets that mostly begin as a message does, and mostly have its length. */
function fill(input: Uint8Array, next: (n: number) => number): void {
  for (let i = 0; i < input.length; i++) input[i] = next(256);
  if (next(8) > 0) input[0] = 1;
  if (next(4) > 0) input[1] = [1, 2, 3, 0xff][next(4)];
  if (next(4) > 0) input[2] = 0;
  if (next(2) > 0) input[3] = next(input.length + 1);
}

function checkMessage(input: Uint8Array): void {
  const { value, size } = decodeMessage(input)!;
  assert(size <= input.length);
  const sent = encodeMessage(value);
  assert(sent.length === size && sent.every((it, i) => it === input[i]));
  assert(verdictOn(input.subarray(0, size - 1)) === "more");
  if (value.type === MESSAGE.data) assert(dataMessageSize(input) === size);
}

/** A shorter input has the same verdict, or none yet. */
function checkPrefix(input: Uint8Array, verdict: string, cut: number): void {
  const early = verdictOn(input.subarray(0, cut));
  if (early === "more" || early === verdict) return;
  throw new Error(`${early}, not ${verdict}: ${input}`);
}
