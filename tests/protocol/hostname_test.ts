import { assert, assertEquals } from "@std/assert";
import {
  canonicalHostname,
  isIp,
  parseEndpoint,
  parseIp,
} from "../../src/protocol/address.ts";
import { decodeDatagram } from "../../src/protocol/datagram.ts";
import { ProtocolError } from "../../src/protocol/decode.ts";
import * as socks4 from "../../src/protocol/socks4.ts";
import * as socks5 from "../../src/protocol/socks5.ts";
import { runtime, test } from "../support/harness.ts";
import { latin1 } from "../support/text.ts";
import { disguise, disguises } from "../support/disguises.ts";
import { join, octets, random } from "../support/table.ts";

const LABEL = "a".repeat(63);
const LONGEST = `${`${LABEL}.`.repeat(3)}${LABEL}`;

/** A host, and other spellings of it. */
const SPELLINGS: readonly [string, ...string[]][] = [
  ["example.com", "Example.COM", "example.com.", "EXAMPLE.COM."],
  ["a", "A", "a.", "A."],
  ["_dns.a-b", "_DNS.a-B."],
  ["xn--mnchen-3ya.example", "XN--MNCHEN-3YA.example."],
  [LONGEST, LONGEST.toUpperCase()],
  [LONGEST.slice(1), `${LONGEST.slice(1)}.`],
  // Names: the number is not the last label, or the last label only begins like one.
  ["127.0.0.1a", "127.0.0.1A"],
  ["0x7g", "0X7G."],
  ["x", "X."],
  ["00x7f", "00X7F"],
  ["1-1", "1-1."],
  ["1_1", "1_1."],
  ["127.1.x", "127.1.X"],
  ["0x7f.a", "0X7F.A."],
  ["4.3.2.1.in-addr.arpa", "4.3.2.1.IN-ADDR.ARPA."],
  // IP addresses
  ["::1", "::0001", "0:0:0:0:0:0:0:1", "::0.0.0.1"],
  ["fd00::a", "FD00::A"],
  ["::ffff:127.0.0.1", "::FFFF:7F00:1", "0:0:0:0:0:ffff:127.0.0.1"],
  [
    "0.0.0.0",
    "0",
    "0.",
    "0x",
    "0X",
    "00",
    "0.0",
    "0x.0X.0x.0x",
    "000000000000",
  ],
  ["127.0.0.1", "127.1", "127.0.1", "127.0.0.1.", "0x7f.1", "0X7F.0.0.1"],
  ["127.0.0.1", "017700000001", "2130706433", "0x7f000001", "0X7F000001."],
  ["127.0.0.1", "0177.0.0.01", "127.0x0.00.0x1", "0x7f.000.0x01.", "127.1."],
  ["127.0.0.1", `0x${"0".repeat(53)}7f000001`, `${"0".repeat(51)}17700000001`],
  ["10.0.0.8", "012.8", "10.0x8", "0xa.010"],
  ["8.8.8.8", "010.010.010.010", "134744072"],
  ["127.0.255.255", "127.65535", "127.0.0xffff", "127.0.65535"],
  ["127.255.255.255", "127.16777215", "127.0xFFFFFF", "127.077777777"],
  ["255.255.255.255", "4294967295", "0xffffffff", "037777777777"],
  ["1.2.3.4", "1.2.772", "1.131844", "16909060", "1.2.0x304"],
];

for (const [canonical, ...others] of SPELLINGS) {
  for (const text of [canonical, ...others]) {
    test(`the decoders decode ${text.slice(0, 50)} as ${canonical.slice(0, 50)}`, () => {
      assertEquals(canonicalHostname(text), canonical);
      assertEquals(decodeAll(text), { hostname: canonical });
    });
  }
}

/** Not hosts, although all their characters may occur in names. */
const NUMBERS: readonly string[] = [
  "256.1.1.1",
  "1.256.1.1",
  "1.1.256.1",
  "1.1.1.256",
  "1.1.65536",
  "1.16777216",
  "4294967296",
  "0x100000000",
  "040000000000",
  "99999999999999999999",
  `0x${"f".repeat(61)}`,
  "1.2.3.4.5",
  "1.2.3.4.5.",
  "0.0.0.0.0",
  "08",
  "127.0.0.08",
  "127.08.0.1",
  "127.0.0.09.",
  "0x7g.1",
  "a.1",
  "example.123",
  "example.0x7F",
  "example.0x",
  "a.b.c.d.e.0",
  "-1.1",
  "1e3.1",
  "1_0.1",
];

/** Neither hosts nor names. */
const NO_HOSTS: readonly string[] = [
  "",
  ".",
  "..",
  ".a",
  "a..",
  "a..b",
  "127.0.0.1..",
  ".127.0.0.1",
  "127..1",
  `${LABEL}a`,
  `${LONGEST}.`,
  // A number of 64 octets: the parser of the WHATWG URL standard has no such limit.
  `0x${"0".repeat(54)}7f000001`,
  "::1.",
  ":",
  "1:2",
  "127.0.0.1:80",
  "::ffff:127.1",
  "::ffff:0x7f.0.0.1",
];

for (const text of [...NUMBERS, ...NO_HOSTS]) {
  test(`the decoders reject ${JSON.stringify(text.slice(0, 50))}`, () => {
    assertEquals(canonicalHostname(text), undefined);
    const expected = text.length > 255 || text === ""
      ? REFUSED
      : decodeAll(text);
    assertEquals(expected, REFUSED);
  });
}

test("encodeRequest() and parseEndpoint() leave a name unchanged that decoders reject", () => {
  for (const hostname of [...NUMBERS, "Example.COM.", "127.1", "0X7F.1."]) {
    const request = { command: 1, hostname, port: 80 };
    const sent = new TextDecoder().decode(socks5.encodeRequest(request));
    assert(sent.includes(hostname), sent);
    assertEquals(parseEndpoint(`${hostname}:80`), { hostname, port: 80 });
  }
});

/** Text that is not ASCII or not a host, and its canonical form. */
const INTERNATIONAL: readonly [string, string | undefined][] = [
  ["münchen.example", "xn--mnchen-3ya.example"],
  ["MÜNCHEN.Example.", "xn--mnchen-3ya.example"],
  ["mu\u0308nchen.example", "xn--mnchen-3ya.example"],
  ["faß.example", "xn--fa-hia.example"],
  ["日本語。ＪＰ", "xn--wgv71a119e.jp"],
  ["☃.example", "xn--n3h.example"],
  ["💩.example", "xn--ls8h.example"],
  ["ex\u00adample.test", "example.test"],
  ["\u212aelvin.test", "kelvin.test"],
  ["ü_a.example", "xn--_a-wka.example"],
  ["１２７.1", "127.0.0.1"],
  ["127。1", "127.0.0.1"],
  ["０ｘ７ｆ.1.", "127.0.0.1"],
  ["ä.1.2", undefined],
  ["ä.0x7f", undefined],
  ["ü..b", undefined],
  ["\u00ad", undefined],
  ["a／b", undefined],
  ["℀.example", undefined],
  ["％４１.ü", undefined],
  ["ü.example/path", undefined],
  ["ü.example\\path", undefined],
  ["ü.example?query", undefined],
  ["ü.example#", undefined],
  ["ü.example:80", undefined],
  ["user@ü.example", undefined],
  ["ü.ex%61mple", undefined],
  ["ü.exa\tmple", undefined],
  [" ü.example", undefined],
  ["ü.example\n", undefined],
  ["ü\0.example", undefined],
  ["[ü]", undefined],
  ["*.ü.example", undefined],
  ["\ud800.example", undefined],
  [`${"ü".repeat(70)}.example`, undefined],
  [`${"ü".repeat(20)}.`.repeat(12), undefined],
  ["example.com\0", undefined],
  ["example .com", undefined],
  ["ex%61mple.com", undefined],
  ["[::1]", undefined],
  ["fe80::1%eth0", undefined],
  ["*.example.com", undefined],
  ["10.0.0.0/8", undefined],
  ["a".repeat(100_000), undefined],
  ["ü".repeat(100_000), undefined],
];

for (const [text, expected] of INTERNATIONAL) {
  test(`canonicalHostname() of ${JSON.stringify(text.slice(0, 50))} is ${expected}`, () => {
    assertEquals(canonicalHostname(text), expected);
  });
}

const REFUSED = { hostname: undefined };

/** The result of all decoders of names, which must be the same. */
function decodeAll(text: string): { hostname: string | undefined } {
  return decodeOctets(latin1(text));
}

function decodeOctets(name: Uint8Array): { hostname: string | undefined } {
  const block = join(octets("03"), Uint8Array.of(name.length), name);
  const [five, datagram] = [octets("05 01 00"), octets("00 00 00")].map((it) =>
    join(it, block, octets("00 50"))
  );
  const four = join(octets("04 01 00 50 00 00 00 01 00"), name, octets("00"));
  const hostname = decodeDatagram(datagram)?.hostname;
  assertEquals(hostIn(() => socks5.decodeRequest(five)), hostname);
  const end = name.indexOf(0); // a NUL ends the name in SOCKS4a
  if (end === -1) {
    assertEquals(hostIn(() => socks4.decodeRequest(four)), hostname);
  }
  return { hostname };
}

function hostIn(
  decode: () => { value: { hostname: string } } | undefined,
): string | undefined {
  try {
    return decode()!.value.hostname;
  } catch (error) {
    if (error instanceof ProtocolError && error.code === "hostname") return;
    throw error;
  }
}

test("the decoders recognize every disguise of an IPv4 address", () => {
  for (const address of [[127, 0, 0, 1], [0, 0, 0, 0], [169, 254, 169, 254]]) {
    const hostname = address.join(".");
    for (const text of disguises(address)) {
      for (const spelt of [text, text.toUpperCase()]) {
        assertEquals(decodeAll(spelt), { hostname }, spelt);
      }
    }
  }
});

test("the decoders and URL recognize random disguises of random IPv4 addresses", () => {
  const next = random(11);
  for (let i = 0; i < 20_000; i++) {
    const size = [4, 16, 256][next(3)];
    const address = Array.from({ length: 4 }, () => next(size));
    const hostname = address.join(".");
    const text = disguise(address, next);
    assertEquals(decodeAll(text), { hostname }, text);
    assertEquals(new URL(`http://${text}`).hostname, hostname, text);
  }
});

test("the decoders agree with URL on random numbers and letters", () => {
  const next = random(12);
  const parts = ["0x", "0", "1", "7", "8", "a", "f", "g", "x", "X", ".", "255"];
  let addresses = 0;
  for (let i = 0; i < 20_000; i++) {
    const text = Array.from({ length: 1 + next(9) }, () => parts[next(12)])
      .join("");
    const { hostname } = decodeAll(text);
    const inUrl = hostInUrl(text);
    const isAddress = hostname !== undefined && isIp(hostname) !== 0;
    if (isAddress) addresses++;
    // URL on Bun also rejects names that only begin like a number: 0x1x.
    if (runtime === "bun" && inUrl === undefined && !isAddress) continue;
    assertEquals(hostname, inUrl, text);
  }
  assert(addresses > 1_000, `${addresses}`);
});

/** The host according to URL, except for empty labels and trailing dots. */
function hostInUrl(text: string): string | undefined {
  if (/^\.|\.\./.test(text)) return undefined;
  try {
    return new URL(`http://${text}`).hostname.replace(/\.$/, "");
  } catch {
    return undefined;
  }
}

test("the decoders return a canonical host or none for random octets", () => {
  const next = random(13);
  const likely = new TextEncoder().encode("aZ09xX..-_:fF1");
  let hosts = 0;
  for (let i = 0; i < 50_000; i++) {
    const all = next(4) === 0;
    const name = Uint8Array.from(
      { length: next(20) },
      () => all ? next(256) : likely[next(likely.length)],
    );
    const { hostname } = decodeOctets(name);
    if (hostname === undefined) continue;
    hosts++;
    assertEquals(hostname, hostname.toLowerCase());
    assert(!hostname.endsWith(".") && hostname !== "", hostname);
    assertEquals(canonicalHostname(hostname), hostname);
    if (parseIp(hostname) === undefined) {
      assert(/^[a-z0-9._-]+$/.test(hostname), hostname);
      assert(!/(^|\.)(\d+|0x[0-9a-f]*)$/.test(hostname), hostname);
    }
  }
  assert(hosts > 5_000, `${hosts}`);
});
