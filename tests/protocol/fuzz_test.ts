import { assert, assertEquals } from "@std/assert";
import { decodeAddress } from "../../src/protocol/address.ts";
import {
  type Datagram,
  decodeDatagram,
  encodeDatagram,
  MAX_DATAGRAM,
  Reassembler,
} from "../../src/protocol/datagram.ts";
import * as chap from "../../src/protocol/chap.ts";
import type { Decode } from "../../src/protocol/decode.ts";
import { decodeProxyHeader } from "../../src/protocol/proxy_header.ts";
import * as httpConnect from "../../src/protocol/http_connect.ts";
import * as httpRequest from "../../src/protocol/http_forward_request.ts";
import * as httpResponse from "../../src/protocol/http_forward_response.ts";
import * as password from "../../src/protocol/password.ts";
import * as socks4 from "../../src/protocol/socks4.ts";
import * as socks5 from "../../src/protocol/socks5.ts";
import { test } from "../support/harness.ts";
import { octets, outcome, random, withoutStacks } from "../support/table.ts";

const INPUTS = 20_000;

const FORWARDED = [
  '"GET http://target.test/a?b HTTP/1.1" 0D 0A "Host: x" 0D 0A 0D 0A',
  '"POST http://[fd00:77::1]:81 HTTP/1.1" 0D 0A "Host: x" 0D 0A "Content-Length: 5" 0D 0A 0D 0A',
  '"PUT http://a/ HTTP/1.1" 0D 0A "Host: x" 0D 0A "Transfer-Encoding: chunked" 0D 0A "Connection: a" 0D 0A "A: b" 0D 0A 0D 0A',
  '"GET http://127.1/ HTTP/1.0" 0D 0A "Proxy-Authorization: Basic YTpi" 0D 0A 0D 0A',
];

function decodeForwarded(input: Uint8Array) {
  return httpResponse.decodeResponse(input, "GET");
}

/** Name, decoder, the size of the longest message, seeds. */
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
    '05 01 00 03 0B "0X7F.0.017." 00 50',
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
  ["a PROXY header", decodeProxyHeader, 4_096, [
    '"PROXY TCP4 203.0.113.9 192.0.2.1 40000 1080" 0D 0A',
    '"PROXY TCP6 2001:db8::9 ::1 40000 1080" 0D 0A',
    "0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A 21 11 00 0C 12*01",
    "0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A 21 21 00 26 38*01",
    "0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A 20 00 00 00",
  ]],
  ["a message of CHAP", chap.decodeMessage, 2048, [
    '01 02 11 01 85 02 05 "alice"',
    "01 02 11 01 85 03 20 32*C7",
    "01 01 04 10 16*AB",
    "01 01 00 01 00",
    `01 08 ${"01 FF 255*61 ".repeat(7)} 01 F5 245*61`,
  ]],
  ["an HTTP request", httpConnect.decodeRequest, httpConnect.MAX_HEAD, [
    '"CONNECT target.test:80 HTTP/1.0" 0D 0A 0D 0A',
    '"CONNECT [fd00:77::1]:80 HTTP/1.1" 0D 0A "Host: x" 0D 0A "Content-Length: 0" 0D 0A 0D 0A',
    '"GET http://target.test/ HTTP/1.1" 0D 0A "Host: x" 0D 0A 0D 0A',
  ]],
  ["an HTTP response", httpConnect.decodeResponse, httpConnect.MAX_HEAD, [
    '"HTTP/1.1 200 OK" 0D 0A 0D 0A',
    '"HTTP/1.0 407 Login" 0A "Proxy-Authenticate: Basic" 0A 0A',
    '"HTTP/1.1 100 Continue" 0D 0A 0D 0A "HTTP/1.1 200 OK" 0D 0A "A: b" 0D 0A 0D 0A',
  ]],
  [
    "a request in absolute form",
    httpRequest.decodeRequest,
    httpConnect.MAX_HEAD,
    FORWARDED,
  ],
  ["a forwarded response", decodeForwarded, httpConnect.MAX_HEAD, [
    '"HTTP/1.1 200 OK" 0D 0A "Content-Length: 5" 0D 0A 0D 0A',
    '"HTTP/1.1 103 E" 0D 0A "Link: a" 0D 0A 0D 0A',
    '"HTTP/1.1 200 OK" 0D 0A "Transfer-Encoding: chunked" 0D 0A "Connection: a" 0D 0A "A: b" 0D 0A 0D 0A',
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

/** Changes, removes, duplicates or inserts a few octets; sometimes replaces them all. */
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
 * Passes if the decoder returns or throws a `ProtocolError`, decides within its
 * bound, does not change the input, and has the same result for a longer input once
 * it has decided.
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
  if (verdict === "decoded") {
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

test("encodeRequest() preserves decoded requests", () => {
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
  if (outcome(decode, input) !== "decoded") return;
  const { value } = decode(input)!;
  const sent = encode(value);
  assertEquals(decode(sent), { value, size: sent.length });
}

const MANY = 1_000_000;

test(`chap.decodeMessage() decodes ${MANY} random inputs to what encodeMessage() encodes`, () => {
  const next = random(6);
  const [, , , seeds] = DECODERS.find(([, it]) => it === chap.decodeMessage)!;
  const messages = seeds.slice(0, -1).map(octets);
  let decoded = 0;
  for (let i = 0; i < MANY; i++) {
    const input = mutate(messages[next(messages.length)], next);
    if (outcome(chap.decodeMessage, input) !== "decoded") continue;
    const { value, size } = chap.decodeMessage(input)!;
    const encoded = chap.encodeMessage(value);
    // Not assertEquals(), which takes most of the time.
    const isSame = encoded.length === size &&
      encoded.every((it, at) => it === input[at]);
    assert(isSame, `${input}`);
    decoded++;
  }
  assert(decoded > MANY / 10, `${decoded}`);
});

const DATAGRAMS: readonly string[] = [
  "00 00 00 01 C0 00 02 01 00 35 20*AA",
  "00 00 01 04 FD 00 14*01 00 35 20*AA",
  '00 00 82 03 0B "target.test" 00 35 20*AA',
  '00 00 00 03 09 "127.0.0.1" 00 35',
  '00 00 00 03 0B "0X7F.0.017." 00 35',
  '00 00 00 03 0E "::ffff:1.2.3.4" 00 35 AA',
  "00 00 00 03 FF 255*61 00 35",
];

test(`decodeDatagram() is sound on ${INPUTS} random inputs`, () => {
  const next = random(3);
  const seeds = DATAGRAMS.map(octets);
  for (let i = 0; i < INPUTS; i++) {
    const input = mutate(seeds[next(seeds.length)], next);
    const before = input.slice();
    const datagram = decodeDatagram(input);
    assertEquals(input, before);
    assertEquals(datagram, byDecodeAddress(input));
    if (datagram === undefined) continue;
    assertEquals(decodeDatagram(encodeDatagram(datagram)), datagram);
  }
});

/** The expected result, computed with the decoder of requests and replies. */
function byDecodeAddress(input: Uint8Array): Datagram | undefined {
  const decode: Decode<unknown> = (it) => decodeAddress(it, 3);
  const address = outcome(decode, input) === "decoded"
    ? decodeAddress(input, 3)
    : undefined;
  if (address === undefined || input[2] === 0x80) return undefined;
  const payload = input.slice(3 + address.size);
  return { ...address.value, fragment: input[2], payload };
}

test(`decodeDatagram() decodes ${INPUTS} random datagrams`, () => {
  const next = random(4);
  for (let i = 0; i < INPUTS; i++) {
    const datagram = randomDatagram(next);
    assertEquals(decodeDatagram(encodeDatagram(datagram)), datagram);
  }
});

function randomDatagram(next: (n: number) => number): Datagram {
  const letters = "abcdefghijklmnopqrstuvwxyz_-";
  const text = (length: number, from: string) =>
    Array.from({ length }, () => from[next(from.length)]).join("");
  const label = () => text(1 + next(63), letters);
  const hostname = [
    () => Array.from({ length: 4 }, () => next(256)).join("."),
    () => `fd00:${text(4, "abcdef")}::1`,
    () => Array.from({ length: 1 + next(3) }, label).join("."),
  ][next(3)]();
  const fragment = next(2) === 0 ? 0 : 1 + next(127) + 0x80 * next(2);
  const payload = Uint8Array.from({ length: next(50) }, () => next(256));
  return { hostname, port: next(0x10000), fragment, payload };
}

test("Reassembler returns consecutive fragments of one sequence and nothing else", () => {
  const next = random(5);
  let delivered = 0;
  for (let run = 0; run < 300; run++) {
    const queue = new Reassembler();
    const history: Datagram[] = [];
    for (let i = 0; i < 100; i++) {
      history.push(randomFragment(next, history.at(-1)));
      const whole = queue.add(history.at(-1)!);
      const expected = lastSequence(history);
      assertEquals(whole?.payload.length, expected?.payload.length);
      assertEquals(whole, expected);
      if (whole !== undefined && whole !== history.at(-1)) delivered++;
    }
  }
  assert(delivered > 1_000, `${delivered}`);
});

/** Mostly the fragment after `before`, so that sequences become complete. */
function randomFragment(
  next: (n: number) => number,
  before: Datagram | undefined,
): Datagram {
  const follows = next(10) < 8;
  const position = follows ? ((before?.fragment ?? 0) + 1) & 0x7f : next(128);
  const ended = before === undefined || before.fragment > 0x80;
  const hostname = next(20) === 0 ? "b.test" : "a.test";
  const size = next(20) === 0 ? MAX_DATAGRAM - next(20) : next(10);
  const payload = new Uint8Array(size).fill(next(256));
  const fragment = ended && follows ? 1 : position + 0x80 * +(next(5) === 0);
  return { hostname, port: 53 + +(next(20) === 0), fragment, payload };
}

/**
 * The datagram that the last fragment completes: for a fragment with position n
 * the last n fragments must have positions 1 to n and the same endpoint.
 */
function lastSequence(history: Datagram[]): Datagram | undefined {
  const last = history.at(-1)!;
  if (last.fragment === 0) return last;
  const count = last.fragment - 0x80;
  if (count < 1 || count > history.length) return undefined;
  const { hostname, port } = last;
  const sequence = history.slice(-count);
  const whole = sequence.every((it, i) =>
    it.hostname === hostname && it.port === port &&
    it.fragment === i + 1 + (i + 1 === count ? 0x80 : 0)
  );
  const size = sequence.reduce((sum, it) => sum + it.payload.length, 0);
  if (!whole || size > MAX_DATAGRAM) return undefined;
  const payload = new Uint8Array(size);
  sequence.reduce(
    (at, it) => (payload.set(it.payload, at), at + it.payload.length),
    0,
  );
  return { hostname, port, fragment: 0, payload };
}

test(
  `decodeRequest() of ${MANY} random requests in absolute form gives what no recipient reads in another way`,
  () => {
    const next = random(9);
    const messages = FORWARDED.map(octets);
    const likely = octets('"a:/ 5.@?" 0D 0A 0D 0A 09 00 E9');
    let decoded = 0;
    withoutStacks(() => {
      for (let i = 0; i < MANY; i++) {
        const input = messages[next(messages.length)].slice();
        for (let edits = next(3); edits > 0; edits--) {
          const octet = likely[next(likely.length)];
          input[next(input.length)] = next(4) === 0 ? next(256) : octet;
        }
        if (outcome(httpRequest.decodeRequest, input) !== "decoded") continue;
        decoded++;
        const { value } = httpRequest.decodeRequest(input)!;
        const sent = String.fromCharCode(...httpRequest.encodeRequest(value));
        if (!isPlain(sent)) assertEquals(sent, "", `${input}`);
      }
    });
    assert(decoded > MANY / 10, `${decoded}`);
  },
  { timeout: 240_000 },
);

/** One message, one Host, at most one length, and no control character but its line ends. */
function isPlain(head: string): boolean {
  const lines = head.split("\r\n");
  const names = lines.slice(1, -2).map((it) => it.split(":")[0].toLowerCase());
  const count = (name: string) => names.filter((it) => it === name).length;
  return lines.indexOf("") === lines.length - 2 && lines.at(-1) === "" &&
    !hasControl(lines.join("")) &&
    count("host") === 1 && count("connection") === 1 &&
    count("content-length") + count("transfer-encoding") <= 1 &&
    !names.some((it) => it.startsWith("proxy-") || it === "upgrade");
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i);
    if (octet < 0x20 && octet !== 9 || octet === 0x7f) return true;
  }
  return false;
}
