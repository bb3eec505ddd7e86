import { assertEquals, assertThrows } from "@std/assert";
import {
  formatIp,
  isIp,
  isLoopback,
  parseIp,
  unmapIp,
} from "../../src/protocol/address.ts";
import { test } from "../support/harness.ts";
import { octets, random } from "../support/table.ts";

/** Text, its octets, its canonical form. */
const ADDRESSES: readonly [string, string, string][] = [
  ["0.0.0.0", "4*00", "0.0.0.0"],
  ["127.0.0.1", "7F 00 00 01", "127.0.0.1"],
  ["255.255.255.255", "4*FF", "255.255.255.255"],
  ["1.20.199.249", "01 14 C7 F9", "1.20.199.249"],
  ["::", "16*00", "::"],
  ["::1", "15*00 01", "::1"],
  ["1::", "00 01 14*00", "1::"],
  ["0:0:0:0:0:0:0:0", "16*00", "::"],
  ["0000:0000:0000:0000:0000:0000:0000:0001", "15*00 01", "::1"],
  // RFC 4291 section 2.2
  [
    "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789",
    "AB CD EF 01 23 45 67 89 AB CD EF 01 23 45 67 89",
    "abcd:ef01:2345:6789:abcd:ef01:2345:6789",
  ],
  [
    "2001:DB8:0:0:8:800:200C:417A",
    "20 01 0D B8 4*00 00 08 08 00 20 0C 41 7A",
    "2001:db8::8:800:200c:417a",
  ],
  ["FF01::101", "FF 01 12*00 01 01", "ff01::101"],
  ["0:0:0:0:0:0:13.1.68.3", "12*00 0D 01 44 03", "::d01:4403"],
  ["::13.1.68.3", "12*00 0D 01 44 03", "::d01:4403"],
  ["::FFFF:129.144.52.38", "10*00 FF FF 81 90 34 26", "::ffff:129.144.52.38"],
  ["::ffff:1.2.3.4", "10*00 FF FF 01 02 03 04", "::ffff:1.2.3.4"],
  ["::ffff:102:304", "10*00 FF FF 01 02 03 04", "::ffff:1.2.3.4"],
  ["0:0:0:0:0:ffff::", "10*00 FF FF 4*00", "::ffff:0.0.0.0"],
  ["64:ff9b::192.0.2.33", "00 64 FF 9B 8*00 C0 00 02 21", "64:ff9b::c000:221"],
  [
    "1:2:3:4:5:6:1.2.3.4",
    "00 01 00 02 00 03 00 04 00 05 00 06 01 02 03 04",
    "1:2:3:4:5:6:102:304",
  ],
  // RFC 5952 section 4
  ["2001:db8::001", "20 01 0D B8 11*00 01", "2001:db8::1"],
  [
    "2001:db8:0:1:1:1:1:1",
    "20 01 0D B8 00 00 00 01 00 01 00 01 00 01 00 01",
    "2001:db8:0:1:1:1:1:1",
  ],
  [
    "2001:db8::1:1:1:1:1",
    "20 01 0D B8 00 00 00 01 00 01 00 01 00 01 00 01",
    "2001:db8:0:1:1:1:1:1",
  ],
  ["2001:0:0:1:0:0:0:1", "20 01 4*00 00 01 6*00 00 01", "2001:0:0:1::1"],
  [
    "2001:db8:0:0:1:0:0:1",
    "20 01 0D B8 4*00 00 01 4*00 00 01",
    "2001:db8::1:0:0:1",
  ],
  [
    "1:2:3:4:5:6:7::",
    "00 01 00 02 00 03 00 04 00 05 00 06 00 07 00 00",
    "1:2:3:4:5:6:7:0",
  ],
  [
    "::2:3:4:5:6:7:8",
    "00 00 00 02 00 03 00 04 00 05 00 06 00 07 00 08",
    "0:2:3:4:5:6:7:8",
  ],
  ["1:0:0:2:3:4::", "00 01 4*00 00 02 00 03 00 04 4*00", "1::2:3:4:0:0"],
];

for (const [text, hex, canonical] of ADDRESSES) {
  test(`parseIp() and formatIp() agree on ${text}`, () => {
    assertEquals(parseIp(text), octets(hex));
    assertEquals(formatIp(octets(hex)), canonical);
    assertEquals(parseIp(canonical), octets(hex));
    assertEquals(isIp(text), octets(hex).length === 4 ? 4 : 6);
  });
}

const NO_ADDRESSES: readonly string[] = [
  "",
  " ",
  ".",
  "1",
  "2130706433",
  "127.1",
  "1.2.3",
  "1.2.3.",
  "1.2.3.4.",
  ".1.2.3.4",
  "1..2.3",
  "1.2.3.4.5",
  "256.1.1.1",
  "1.2.3.999",
  "01.2.3.4",
  "1.2.3.04",
  "1.2.3.00",
  "0x7f.1",
  "0x7f.0.0.1",
  "127.0.0.0x1",
  "+1.2.3.4",
  "-1.2.3.4",
  "1e1.2.3.4",
  " 1.2.3.4",
  "1.2.3.4 ",
  "1.2.3.4\n",
  "1.2.3.4\0",
  "1.2.3.4:80",
  "1.2.3.4/32",
  "１.2.3.4",
  "1。2。3。4",
  ":",
  ":::",
  "::::",
  ":1",
  "1:",
  ":1::",
  "::1:",
  "1:::2",
  "1::2::3",
  "::1::",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7:8:",
  ":1:2:3:4:5:6:7:8",
  "1:2:3:4:5:6:7:8::",
  "::1:2:3:4:5:6:7:8",
  "1:2:3:4::5:6:7:8",
  "12345::",
  "00001::",
  "g::",
  "0x1::",
  "-1::",
  "::1%eth0",
  "fe80::1%25eth0",
  "[::1]",
  "[::1",
  "::1]",
  "::1/128",
  "::1 ",
  " ::1",
  "::1\n",
  "::1\0",
  "::1.2.3",
  "::1.2.3.4.5",
  "::256.2.3.4",
  "::01.2.3.4",
  "::1.2.3.4:5",
  "1.2.3.4::",
  "::1.2.3.4::",
  "1.2.3.4:::1",
  "1:2:3:4:5:6:7:1.2.3.4",
  "1:2:3:4:5:1.2.3.4",
  "1:2:3:4:5:6:1.2.3.4::",
  "localhost",
  "example.com",
  "0000:0000:0000:0000:0000:0000:255.255.255.2555",
  "1:".repeat(100_000),
];

for (const text of NO_ADDRESSES) {
  test(`parseIp() is undefined for ${JSON.stringify(text.slice(0, 50))}`, () => {
    assertEquals(parseIp(text), undefined);
    assertEquals(isIp(text), 0);
    assertEquals(isLoopback(text), false);
    assertEquals(unmapIp(text), text);
  });
}

test("parseIp() reverses formatIp() for random octets", () => {
  const next = random(1);
  for (let i = 0; i < 5_000; i++) {
    // Half of the groups are zero, which gives runs of every length and position.
    const address = new Uint8Array(next(2) === 0 ? 4 : 16);
    for (let j = 0; j < address.length; j += 2) {
      if (next(2) === 0) address.set([next(256), next(256)], j);
    }
    assertEquals(parseIp(formatIp(address)), address);
  }
});

test("formatIp() formats IPv6 addresses as the URL parser does", () => {
  const next = random(2);
  for (let i = 0; i < 5_000; i++) {
    const groups = Array.from(
      { length: 8 },
      () => next(2) === 0 ? "0" : next(0x10000).toString(16),
    );
    const { hostname } = new URL(`http://[${groups.join(":")}]/`);
    assertEquals(`[${formatIp(parseIp(groups.join(":"))!)}]`, hostname);
  }
});

test("formatIp() throws when there are neither 4 nor 16 octets", () => {
  for (const length of [0, 1, 3, 5, 15, 17]) {
    assertThrows(
      () => formatIp(new Uint8Array(length)),
      TypeError,
      `${length}`,
    );
  }
});

const UNMAPPED: readonly [string, string][] = [
  ["::ffff:1.2.3.4", "1.2.3.4"],
  ["::FFFF:1.2.3.4", "1.2.3.4"],
  ["::ffff:102:304", "1.2.3.4"],
  ["0:0:0:0:0:ffff:0102:0304", "1.2.3.4"],
  ["1.2.3.4", "1.2.3.4"],
  ["::1", "::1"],
  ["::1.2.3.4", "::1.2.3.4"],
  ["::fffe:1.2.3.4", "::fffe:1.2.3.4"],
  ["::ff:1.2.3.4", "::ff:1.2.3.4"],
  ["1::ffff:1.2.3.4", "1::ffff:1.2.3.4"],
  ["64:ff9b::1.2.3.4", "64:ff9b::1.2.3.4"],
  ["2001:DB8::", "2001:DB8::"],
  ["example.com", "example.com"],
];

test("unmapIp() strips the prefix when an address is IPv4-mapped", () => {
  for (const [text, expected] of UNMAPPED) {
    assertEquals(unmapIp(text), expected);
  }
});

const LOOPBACK: readonly [string, boolean][] = [
  ["127.0.0.1", true],
  ["127.0.0.0", true],
  ["127.255.255.255", true],
  ["126.255.255.255", false],
  ["128.0.0.0", false],
  ["0.0.0.0", false],
  ["10.127.0.1", false],
  ["::1", true],
  ["0:0:0:0:0:0:0:1", true],
  ["::ffff:127.0.0.1", true],
  ["::ffff:7f01:203", true],
  ["::ffff:10.0.0.1", false],
  ["::127.0.0.1", false],
  ["::", false],
  ["::2", false],
  ["1::1", false],
  ["localhost", false],
];

test("isLoopback() is true for 127.0.0.0/8, also mapped, and ::1", () => {
  for (const [text, expected] of LOOPBACK) {
    assertEquals(isLoopback(text), expected, text);
  }
});
