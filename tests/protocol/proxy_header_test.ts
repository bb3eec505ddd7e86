import { assertEquals, assertThrows } from "@std/assert";
import type { Endpoint } from "../../src/protocol/address.ts";
import {
  decodeProxyHeader,
  encodeProxyHeader,
  MAX_PROXY_HEADER,
  type ProxyHeader,
} from "../../src/protocol/proxy_header.ts";
import { test } from "../support/harness.ts";
import { octets, random, testDecoder } from "../support/table.ts";

const SIGNATURE = "0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A";
const V4 = "CB 00 71 09 C0 00 02 01 9C 40 04 38";
const V6 = "20 01 0D B8 11*00 09 20 01 0D B8 11*00 01 9C 40 04 38";

function header(source: string, destination: string): ProxyHeader {
  return {
    source: { hostname: source, port: 40_000 },
    destination: { hostname: destination, port: 1080 },
  };
}

const IPV4 = header("203.0.113.9", "192.0.2.1");
const IPV6 = header("2001:db8::9", "2001:db8::1");

testDecoder(decodeProxyHeader, [
  [
    "version 1 over IPv4",
    '"PROXY TCP4 203.0.113.9 192.0.2.1 40000 1080" 0D 0A',
    IPV4,
  ],
  [
    "version 1 over IPv6",
    '"PROXY TCP6 2001:DB8::9 2001:db8:0:0::1 40000 1080" 0D 0A',
    IPV6,
  ],
  [
    "version 1 with an IPv4-mapped address",
    '"PROXY TCP6 ::ffff:203.0.113.9 ::ffff:c000:201 40000 1080" 0D 0A',
    header("::ffff:203.0.113.9", "::ffff:192.0.2.1"),
  ],
  ["version 1 of an unknown client", '"PROXY UNKNOWN" 0D 0A', {}],
  [
    "version 1 of an unknown client, with addresses",
    '"PROXY UNKNOWN ffff::1 ffff::2 65535 65535" 0D 0A',
    {},
  ],
  [
    "version 1 of 107 octets",
    '"PROXY UNKNOWN " 91*61 0D 0A',
    {},
  ],
  ["version 2 over IPv4", `${SIGNATURE} 21 11 00 0C ${V4}`, IPV4],
  ["version 2 over IPv6", `${SIGNATURE} 21 21 00 24 ${V6}`, IPV6],
  [
    "version 2 with a checksum and a unique id",
    `${SIGNATURE} 21 11 00 18 ${V4} 03 00 04 4*AA 05 00 02 2*BB`,
    IPV4,
  ],
  ["version 2 of the balancer itself", `${SIGNATURE} 20 00 00 00`, {}],
  [
    "version 2 of the balancer itself, with addresses",
    `${SIGNATURE} 20 11 00 0C ${V4}`,
    {},
  ],
  ["version 2 of an unspecified family", `${SIGNATURE} 21 00 00 02 2*AA`, {}],
  ["version 2 of UDP", `${SIGNATURE} 21 12 00 0C ${V4}`, {}],
  ["version 2 of a Unix socket", `${SIGNATURE} 21 31 00 D8 216*00`, {}],
  [
    "version 2 of the maximum length",
    `${SIGNATURE} 21 11 0F F0 ${V4} 4068*00`,
    IPV4,
  ],
], [
  ["a greeting of SOCKS5", "05", "message"],
  ["a line that is none", '"PROXx"', "message"],
  ["HTTP", '"PO"', "message"],
  ["a signature that is none", "0D 0A 0D 0A 01", "message"],
  [
    "version 1 in lower case",
    '"PROXY tcp4 1.2.3.4 1.2.3.4 1 1" 0D 0A',
    "message",
  ],
  ["version 1 without CR", '"PROXY TCP4 1.2.3.4 1.2.3.4 1 1" 0A', "message"],
  ["version 1 with a CR inside", '"PROXY UNKNOWN a" 0D 61 0D 0A', "message"],
  ["version 1 of UDP", '"PROXY UDP4 1.2.3.4 1.2.3.4 1 1" 0D 0A', "message"],
  [
    "version 1 with two spaces",
    '"PROXY TCP4  1.2.3.4 1.2.3.4 1 1" 0D 0A',
    "message",
  ],
  [
    "version 1 with a space at its end",
    '"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 " 0D 0A',
    "message",
  ],
  [
    "version 1 with an octal address",
    '"PROXY TCP4 010.2.3.4 1.2.3.4 1 1" 0D 0A',
    "message",
  ],
  [
    "version 1 with a short address",
    '"PROXY TCP4 1.2.3 1.2.3.4 1 1" 0D 0A',
    "message",
  ],
  [
    "version 1 with an address of the other version",
    '"PROXY TCP4 ::1 ::1 1 1" 0D 0A',
    "message",
  ],
  [
    "version 1 of IPv6 with an IPv4 address",
    '"PROXY TCP6 1.2.3.4 ::1 1 1" 0D 0A',
    "message",
  ],
  ["version 1 with a zone", '"PROXY TCP6 fe80::1%a ::1 1 1" 0D 0A', "message"],
  [
    "version 1 with port 65536",
    '"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1" 0D 0A',
    "message",
  ],
  [
    "version 1 with port 01",
    '"PROXY TCP4 1.2.3.4 1.2.3.4 1 01" 0D 0A',
    "message",
  ],
  [
    "version 1 without a port",
    '"PROXY TCP4 1.2.3.4 1.2.3.4 1" 0D 0A',
    "message",
  ],
  ["version 1 without an end", '"PROXY UNKNOWN " 93*61', "message"],
  ["version 1 of 108 octets", '"PROXY UNKNOWN " 92*61 0D', "message"],
  ["version 3", `${SIGNATURE} 31`, "message"],
  ["version 2 with command 2", `${SIGNATURE} 22`, "message"],
  ["version 2 that is too long", `${SIGNATURE} 21 11 0F F1`, "message"],
  ["version 2 that is far too long", `${SIGNATURE} 20 00 FF FF`, "message"],
  [
    "version 2 that is too short for IPv4",
    `${SIGNATURE} 21 11 00 0B`,
    "message",
  ],
  [
    "version 2 that is too short for IPv6",
    `${SIGNATURE} 21 21 00 0C`,
    "message",
  ],
]);

test("decodeProxyHeader() decodes what encodeProxyHeader() returns", () => {
  assertEquals(encodeProxyHeader({}), octets(`${SIGNATURE} 20 00 00 00`));
  assertEquals(
    encodeProxyHeader(IPV4),
    octets(`${SIGNATURE} 21 11 00 0C ${V4}`),
  );
  assertEquals(
    encodeProxyHeader(IPV6),
    octets(`${SIGNATURE} 21 21 00 24 ${V6}`),
  );
  const next = random(7);
  const endpoint = (): Endpoint => ({
    hostname: Array.from({ length: 4 }, () => next(256)).join("."),
    port: next(65_536),
  });
  for (let i = 0; i < 1_000; i++) {
    const value = { source: endpoint(), destination: endpoint() };
    const encoded = encodeProxyHeader(value);
    assertEquals(decodeProxyHeader(encoded), { value, size: encoded.length });
    assertEquals(encoded.length < MAX_PROXY_HEADER, true);
  }
});

test("encodeProxyHeader() throws when no header can carry the addresses", () => {
  const { source, destination } = IPV4;
  const invalid: ProxyHeader[] = [
    { source },
    { destination },
    { source, destination: IPV6.destination },
    { source: { hostname: "a.example", port: 1 }, destination },
    { source: { ...source!, port: 65_536 }, destination },
  ];
  for (const it of invalid) {
    assertThrows(() => encodeProxyHeader(it), TypeError);
  }
});
