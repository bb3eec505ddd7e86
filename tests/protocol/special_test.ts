import { assertEquals } from "@std/assert";
import {
  embeddedIpv4,
  formatIp,
  isSpecialPurpose,
  parseIp,
} from "../../src/protocol/address.ts";
import { test } from "../support/harness.ts";
import { random } from "../support/table.ts";

/**
 * The first and the last address of a range, and whether the address before and
 * the address after it are special-purpose as well.
 */
type Range = readonly [string, string, before?: boolean, after?: boolean];

const RANGES: readonly Range[] = [
  ["0.0.0.0", "0.255.255.255"],
  ["10.0.0.0", "10.255.255.255"],
  ["100.64.0.0", "100.127.255.255"],
  ["127.0.0.0", "127.255.255.255"],
  ["168.63.129.16", "168.63.129.16"],
  ["169.254.0.0", "169.254.255.255"],
  ["172.16.0.0", "172.31.255.255"],
  ["192.0.0.0", "192.0.0.255"],
  ["192.0.2.0", "192.0.2.255"],
  ["192.31.196.0", "192.31.196.255"],
  ["192.52.193.0", "192.52.193.255"],
  ["192.88.99.0", "192.88.99.255"],
  ["192.168.0.0", "192.168.255.255"],
  ["192.175.48.0", "192.175.48.255"],
  ["198.18.0.0", "198.19.255.255"],
  ["198.51.100.0", "198.51.100.255"],
  ["203.0.113.0", "203.0.113.255"],
  ["224.0.0.0", "239.255.255.255", false, true],
  ["240.0.0.0", "255.255.255.255", true],
  // Outside 2000::/3, except for 64:ff9b::/96 and IPv4-mapped addresses
  ["::", "::fffe:ffff:ffff", false, true], // ::ffff:0.0.0.0 follows
  ["::1:0:0:0", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", true, true],
  ["64:ff9b::1:0:0", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, false],
  ["2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"],
  ["3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
];

/** The next or the previous address. */
function beside(text: string, step: 1 | -1): string | undefined {
  const address = parseIp(text)!;
  const full = step === 1 ? 255 : 0;
  let i = address.length - 1;
  while (i >= 0 && address[i] === full) address[i--] = 255 - full;
  if (i < 0) return undefined; // there is none
  address[i] += step;
  return formatIp(address);
}

for (const [first, last, before = false, after = false] of RANGES) {
  test(`isSpecialPurpose() is true from ${first} to ${last}`, () => {
    assertEquals(isSpecialPurpose(first), true);
    assertEquals(isSpecialPurpose(last), true);
    const [less, more] = [beside(first, -1), beside(last, 1)];
    if (less) assertEquals(isSpecialPurpose(less), before, less);
    if (more) assertEquals(isSpecialPurpose(more), after, more);
  });
}

const SPECIAL: readonly string[] = [
  "127.0.0.1",
  // Services of clouds
  "169.254.169.254",
  "169.254.170.2",
  "169.254.0.23",
  "168.63.129.16",
  "::ffff:168.63.129.16",
  "100.100.100.200",
  "192.0.0.192",
  "fd20:ce::254",
  "fd00:42::42",
  "fe80::a9fe:a9fe",
  "255.255.255.255",
  "::1",
  "::127.0.0.1",
  "::8.8.8.8",
  "::ffff:10.0.0.1",
  "::FFFF:7F00:1",
  "0:0:0:0:0:ffff:a9fe:a9fe",
  "::ffff:0:127.0.0.1",
  "64:ff9b::127.0.0.1",
  "64:FF9B::A00:1",
  "64:ff9b:1::8.8.8.8",
  "2002:7f00:1::",
  "2002:a9fe:a9fe::1",
  "2002:c0a8:101:1:2:3:4:5",
  "2001:0:808:808::1",
  "fd00:ec2::254",
  "fe80::1%eth0",
  "fe80::1%25",
  "::1%lo",
  "ff02::1",
  "100::1",
  "5f00::1",
  "fec0::1",
  // Neither allocated nor in a registry
  "200::1",
  "4000::1",
  "a000::8.8.8.8",
  "64:ff9b:2::8.8.8.8",
];

const PUBLIC: readonly string[] = [
  "1.1.1.1",
  "8.8.8.8",
  "::ffff:8.8.8.8",
  "64:ff9b::8.8.8.8",
  "2002:808:808::1",
  "2606:4700:4700::1111",
  "2001:4860:4860::8888",
  "2a00:1450::7f00:1",
  // Not IP addresses
  "",
  "localhost",
  "127.1",
  "2130706433",
  "127.0.0.1%lo",
  "127.0.0.1%::",
  "[::1]",
  "::1/128",
  "name%::1",
];

test("isSpecialPurpose() is true for addresses outside the public Internet", () => {
  for (const text of SPECIAL) assertEquals(isSpecialPurpose(text), true, text);
});

test("isSpecialPurpose() is false for public addresses and for names", () => {
  for (const text of PUBLIC) assertEquals(isSpecialPurpose(text), false, text);
});

test("isSpecialPurpose() checks the IPv4 address that an IPv6 address embeds", () => {
  const next = random(21);
  for (let i = 0; i < 10_000; i++) {
    const [a, b, c, d] = Array.from({ length: 4 }, () => next(256));
    const plain = `${a}.${b}.${c}.${d}`;
    const expected = isSpecialPurpose(plain);
    const groups = `${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`;
    for (
      const text of [
        `::ffff:${plain}`,
        `::ffff:${groups}`,
        `64:ff9b::${groups}`,
        `2002:${groups}::${next(0x10000).toString(16)}`,
      ]
    ) {
      assertEquals(isSpecialPurpose(text), expected, text);
      assertEquals(embeddedIpv4(text), plain, text);
    }
  }
});

const EMBEDDED: readonly [string, string | undefined][] = [
  ["::ffff:1.2.3.4", "1.2.3.4"],
  ["::FFFF:102:304", "1.2.3.4"],
  ["64:ff9b::1.2.3.4", "1.2.3.4"],
  ["2002:102:304::", "1.2.3.4"],
  ["2002:102:304:ffff:ffff:ffff:ffff:ffff", "1.2.3.4"],
  ["2002::", "0.0.0.0"],
  ["64:ff9b::", "0.0.0.0"],
  ["::1.2.3.4", undefined],
  ["::fffe:1.2.3.4", undefined],
  ["::1:ffff:1.2.3.4", undefined],
  ["::ffff:0:1.2.3.4", undefined],
  ["64:ff9b:1::1.2.3.4", undefined],
  ["64:ff9b::1:1.2.3.4", undefined],
  ["64:ff9b:0:0:0:1:1.2.3.4", undefined],
  ["64:ff9a::1.2.3.4", undefined],
  ["2003:102:304::", undefined],
  ["2001:102:304::", undefined],
  ["1.2.3.4", undefined],
  ["name", undefined],
  ["::ffff:1.2.3.4:80", undefined],
];

test("embeddedIpv4() returns the address of mapped, translated and 6to4 addresses", () => {
  for (const [text, expected] of EMBEDDED) {
    assertEquals(embeddedIpv4(text), expected, text);
  }
});
