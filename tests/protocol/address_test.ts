import { assertEquals, assertThrows } from "@std/assert";
import {
  canonicalHostname,
  decodeAddress,
  encodeAddress,
  type Endpoint,
  formatEndpoint,
  isHostname,
  parseEndpoint,
} from "../../src/protocol/address.ts";
import { ProtocolError } from "../../src/protocol/decode.ts";
import { test } from "../support/harness.ts";
import { octets } from "../support/table.ts";

const LABEL = "a".repeat(63);
const LONGEST = `${`${LABEL}.`.repeat(3)}${LABEL}`;

const HOSTNAMES: readonly string[] = [
  "a",
  "1",
  "localhost",
  "example.com",
  "example.com.",
  "EXAMPLE.com",
  "xn--mnchen-3ya.example",
  "_dns.resolver.arpa",
  "a_b.example",
  "-a-.example",
  "1.2.3.4.5",
  "127.1",
  LABEL,
  LONGEST,
];

test("isHostname() is true for names that may be passed to a resolver", () => {
  assertEquals(LONGEST.length, 255);
  for (const text of HOSTNAMES) assertEquals(isHostname(text), true, text);
});

const NO_HOSTNAMES: readonly string[] = [
  "",
  ".",
  "..",
  ".a",
  "a..b",
  "a..",
  `${LABEL}a`,
  `a.${LABEL}a.b`,
  `${LONGEST}.`,
  "a.".repeat(128),
  "a".repeat(100_000),
  "a b",
  " a",
  "a ",
  "a\n",
  "a\0b",
  "target.test\0.evil",
  "a\x7f",
  "a:80",
  "::1",
  "[::1]",
  "a%b",
  "fe80::1%eth0",
  "a/b",
  "a\\b",
  "user@a",
  "a,b",
  "a*b",
  "*",
  "münchen.example",
  "a\u2024b",
  "\u212a",
  "\u017f",
  "a\u3002b",
];

for (const text of NO_HOSTNAMES) {
  test(`isHostname() is false for ${JSON.stringify(text.slice(0, 50))}`, () => {
    assertEquals(isHostname(text), false);
  });
}

test("decodeAddress() decodes at the offset, and counts the size from there", () => {
  const input = octets("FF FF FF 01 C0 00 02 01 00 50 EE");
  assertEquals(decodeAddress(input, 3), {
    value: { hostname: "192.0.2.1", port: 80 },
    size: 7,
  });
  assertEquals(decodeAddress(input.subarray(0, 9), 3), undefined);
  assertEquals(decodeAddress(input, 11), undefined);
  assertEquals(decodeAddress(input, 99), undefined);
});

test("decodeAddress() decodes what encodeAddress() returns for every kind of host", () => {
  const addresses = ["192.0.2.1", "::", "::ffff:1.2.3.4", "fd00:77::1"];
  for (const hostname of [...addresses, ...HOSTNAMES]) {
    for (const port of [0, 1, 255, 256, 65535]) {
      const block = encodeAddress({ hostname, port });
      const canonical = canonicalHostname(hostname);
      if (canonical === undefined) {
        assertThrows(() => decodeAddress(block, 0), ProtocolError, hostname);
        continue;
      }
      const value = { hostname: canonical, port };
      assertEquals(decodeAddress(block, 0), { value, size: block.length });
    }
  }
});

test("encodeAddress() throws when the endpoint is invalid", () => {
  for (const hostname of ["[::1]", "::1%eth0", "a b", "", "a\0b", "ä"]) {
    const endpoint = { hostname, port: 80 };
    assertThrows(
      () => encodeAddress(endpoint),
      TypeError,
      "neither a hostname",
    );
  }
  for (const port of [-1, 65536, 1.5, NaN, Infinity]) {
    const endpoint = { hostname: "a", port };
    assertThrows(() => encodeAddress(endpoint), TypeError, "port");
  }
});

/** Text, endpoint, and the canonical text if it differs. */
const ENDPOINTS: readonly [string, Endpoint, string?][] = [
  ["1.2.3.4:80", { hostname: "1.2.3.4", port: 80 }],
  ["[::1]:80", { hostname: "::1", port: 80 }],
  ["name:80", { hostname: "name", port: 80 }],
  ["example.com.:65535", { hostname: "example.com.", port: 65535 }],
  ["a:0", { hostname: "a", port: 0 }],
  ["[::0001]:1", { hostname: "::1", port: 1 }, "[::1]:1"],
  [
    "[::FFFF:102:304]:1",
    { hostname: "::ffff:1.2.3.4", port: 1 },
    "[::ffff:1.2.3.4]:1",
  ],
];

for (const [text, endpoint, canonical = text] of ENDPOINTS) {
  test(`parseEndpoint() and formatEndpoint() agree on ${text}`, () => {
    assertEquals(parseEndpoint(text), endpoint);
    assertEquals(parseEndpoint(text, 1080), endpoint);
    assertEquals(formatEndpoint(endpoint), canonical);
  });
}

test("parseEndpoint() uses the default when the text has no port", () => {
  for (
    const [text, hostname] of [
      ["name", "name"],
      ["1.2.3.4", "1.2.3.4"],
      ["[::1]", "::1"],
    ]
  ) {
    assertEquals(parseEndpoint(text, 1080), { hostname, port: 1080 });
    assertEquals(parseEndpoint(text, 0), { hostname, port: 0 });
    assertThrows(() => parseEndpoint(text), TypeError, "has no port");
  }
});

test("parseEndpoint() converts names that are not ASCII", () => {
  const names = [
    ["München.example.", "xn--mnchen-3ya.example"],
    ["日本語。jp", "xn--wgv71a119e.jp"],
    ["１２７.1", "127.0.0.1"],
  ];
  for (const [text, hostname] of names) {
    assertEquals(parseEndpoint(`${text}:80`), { hostname, port: 80 });
  }
  assertThrows(() => parseEndpoint("ü..b:80"), TypeError, "neither a hostname");
});

/** Text, and a part of the error message. */
const NO_ENDPOINTS: readonly [string, string][] = [
  ["", "HOSTNAME:PORT"],
  [":", "HOSTNAME:PORT"],
  [":80", "HOSTNAME:PORT"],
  ["::1", "needs brackets"],
  ["::1:80", "needs brackets"],
  ["fe80::1%eth0", "HOSTNAME:PORT"],
  ["[::1", "HOSTNAME:PORT"],
  ["::1]:80", "HOSTNAME:PORT"],
  ["[::1]80", "HOSTNAME:PORT"],
  ["[[::1]]:80", "HOSTNAME:PORT"],
  ["name:80:90", "HOSTNAME:PORT"],
  ["[]:80", "does not contain an IPv6"],
  ["[1.2.3.4]:80", "does not contain an IPv6"],
  ["[name]:80", "does not contain an IPv6"],
  ["[::1%eth0]:80", "does not contain an IPv6"],
  ["a b:80", "neither a hostname"],
  ["a\0b:80", "neither a hostname"],
  ["http://a", "port must be"],
  ["user@a:80", "neither a hostname"],
  ["a:", "port must be"],
  ["[::1]:", "port must be"],
  ["a:65536", "port must be"],
  ["a:-1", "port must be"],
  ["a:080", "port must be"],
  ["a:0x50", "port must be"],
  ["a:1e3", "port must be"],
  ["a:80 ", "port must be"],
  ["a:80\n", "port must be"],
  ["a:http", "port must be"],
];

for (const [text, message] of NO_ENDPOINTS) {
  test(`parseEndpoint() throws when given ${JSON.stringify(text)}`, () => {
    assertThrows(() => parseEndpoint(text, 1080), TypeError, message);
  });
}
