import { assert, assertEquals } from "@std/assert";
import type { Decode } from "../../src/protocol/decode.ts";
import * as password from "../../src/protocol/password.ts";
import * as socks4 from "../../src/protocol/socks4.ts";
import * as socks5 from "../../src/protocol/socks5.ts";
import { test } from "../harness.ts";
import { octets, outcome, random } from "./table.ts";

const INPUTS = 20_000;

/** Name, decoder, the most octets it may ask for, messages to start from. */
const DECODERS: readonly [string, Decode<unknown>, number, string[]][] = [
  ["a greeting", socks5.decodeGreeting, 257, [
    "05 01 00",
    "05 03 00 01 02",
    "05 FF 255*00",
  ]],
  ["a choice", socks5.decodeMethodChoice, 2, ["05 00"]],
  ["a SOCKS5 request", socks5.decodeRequest, 262, [
    "05 01 00 01 C0 00 02 01 00 50",
    "05 01 00 04 FD 00 14*01 00 50",
    '05 01 00 03 0B "target.test" 00 50',
    '05 01 00 03 09 "127.0.0.1" 00 50',
    '05 01 00 03 0E "::ffff:1.2.3.4" 00 50',
    "05 01 00 03 FF 255*61 00 50",
  ]],
  ["a SOCKS5 reply", socks5.decodeReply, 262, [
    "05 00 00 01 C0 00 02 01 00 50",
    "05 05 00 04 16*00 00 00",
    '05 00 00 03 05 "proxy" 00 50',
  ]],
  ["a SOCKS4 request", socks4.decodeRequest, 777, [
    '04 01 00 50 C0 00 02 01 "user" 00',
    '04 01 00 50 00 00 00 01 "user" 00 "target.test" 00',
    '04 01 00 50 00 00 00 01 00 "fd00:77::1" 00',
    "04 01 00 50 00 00 00 01 512*75 00 255*61 00",
  ]],
  ["a SOCKS4 reply", socks4.decodeReply, 8, ["00 5A 00 50 C0 00 02 01"]],
  ["a login", password.decodeLogin, 513, [
    '01 04 "user" 08 "password"',
    "01 FF 255*75 FF 255*70",
  ]],
  ["a login's status", password.decodeLoginStatus, 2, ["01 00"]],
];

for (const [name, decode, bound, seeds] of DECODERS) {
  test(`the decoder of ${name} is sound on ${INPUTS} random inputs`, () => {
    const next = random(bound);
    const messages = seeds.map(octets);
    for (let i = 0; i < INPUTS; i++) {
      const input = mutate(messages[next(messages.length)], next);
      assertSound(decode, bound, input, next(input.length + 1));
    }
  });
}

/** Changes, cuts out, doubles or adds a few octets; or makes them all up. */
function mutate(message: Uint8Array, next: (n: number) => number): Uint8Array {
  if (next(10) === 0) {
    return Uint8Array.from({ length: next(900) }, () => next(256));
  }
  const result = [...message];
  for (let edits = next(4); edits > 0; edits--) {
    const at = next(result.length + 1);
    const edit = next(4);
    if (edit === 0) result[Math.min(at, result.length)] = next(256);
    if (edit === 1) result.splice(at, next(4));
    if (edit === 2) result.splice(at, 0, ...result.slice(at, at + next(40)));
    if (edit === 3) result.splice(at, 0, next(256), next(128));
  }
  return Uint8Array.from(result);
}

/**
 * Passes when the decoder returns or throws a `ProtocolError`, decides within
 * its bound, leaves the input as it is, and never changes its mind about a
 * prefix once it has decided.
 */
function assertSound(
  decode: Decode<unknown>,
  bound: number,
  input: Uint8Array,
  cut: number,
): void {
  const before = input.slice();
  const verdict = outcome(decode, input);
  assertEquals(input, before);
  if (verdict === "more") assert(input.length < bound, `${input}`);
  if (verdict === "message") {
    const decoded = decode(input)!;
    assert(decoded.size >= 1 && decoded.size <= input.length, `${input}`);
    assert(decoded.size <= bound, `${input}`);
    assertEquals(decode(input.subarray(0, decoded.size)), decoded);
    const short = input.subarray(0, Math.min(cut, decoded.size - 1));
    assertEquals(outcome(decode, short), "more", `${input}`);
    return;
  }
  const early = outcome(decode, input.subarray(0, cut));
  assert(early === "more" || early === verdict, `${early} ${verdict} ${input}`);
}

test("requests that were decoded encode to requests that mean the same", () => {
  const next = random(7);
  const [, , , five] = DECODERS[2];
  const [, , , four] = DECODERS[4];
  for (let i = 0; i < INPUTS; i++) {
    const input = mutate(octets(five[next(five.length)]), next);
    assertRoundTrip(socks5.decodeRequest, socks5.encodeRequest, input);
    const old = mutate(octets(four[next(four.length)]), next);
    assertRoundTrip(socks4.decodeRequest, socks4.encodeRequest, old);
  }
});

function assertRoundTrip<T>(
  decode: Decode<T>,
  encode: (value: T) => Uint8Array,
  input: Uint8Array,
): void {
  if (outcome(decode, input) !== "message") return;
  const { value } = decode(input)!;
  const sent = encode(value);
  assertEquals(decode(sent), { value, size: sent.length });
}
