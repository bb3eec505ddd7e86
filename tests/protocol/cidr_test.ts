import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  type Cidr,
  cidrContains,
  cidrFault,
  embeddedIpv4,
  formatIp,
  parseCidr,
  parseIp,
} from "../../src/protocol/address.ts";
import { test } from "../support/harness.ts";
import { random } from "../support/table.ts";

/** Text, and the canonical form if it differs. */
const BLOCKS: readonly [string, string?][] = [
  ["0.0.0.0/0"],
  ["10.0.0.0/8"],
  ["192.0.2.128/25"],
  ["192.0.2.1/32"],
  ["192.0.2.1", "192.0.2.1/32"],
  ["::/0"],
  ["::/96"],
  ["fe80::/10"],
  ["2001:db8::/32"],
  ["2001:DB8:0::/32", "2001:db8::/32"],
  ["[2001:db8::]/32", "2001:db8::/32"],
  ["::1", "::1/128"],
  ["[::1]", "::1/128"],
  ["::1/128"],
  ["::ffff:10.0.0.0/104", "10.0.0.0/8"],
  ["::ffff:0:0/96", "0.0.0.0/0"],
  ["[::ffff:a00:1]", "10.0.0.1/32"],
  ["64:ff9b::/96"],
  ["2002:7f00::/24"],
];

for (const [text, canonical = text] of BLOCKS) {
  test(`parseCidr() parses ${text} as ${canonical}`, () => {
    const cidr = parseCidr(text)!;
    const [network, prefix] = canonical.split("/");
    assertEquals(cidr, {
      text: canonical,
      network: parseIp(network)!,
      prefix: Number(prefix),
    });
    assertEquals(cidrFault(text), undefined);
    assertEquals(parseCidr(canonical), cidr);
  });
}

const NEITHER = "neither an IP address nor";

/** Text, and a part of the message. */
const FAULTS: readonly [string, string][] = [
  ["", NEITHER],
  ["/", NEITHER],
  ["/8", NEITHER],
  ["name", NEITHER],
  ["name/8", NEITHER],
  ["*", NEITHER],
  ["10/8", NEITHER],
  ["10.0/8", NEITHER],
  ["127.1/32", NEITHER],
  ["0x7f.0.0.0/8", NEITHER],
  ["10.0.0.0./8", NEITHER],
  ["[10.0.0.0]/8", NEITHER],
  ["[::1", NEITHER],
  ["::1]", NEITHER],
  ["[[::1]]", NEITHER],
  ["[::/64]", NEITHER],
  ["fe80::1%eth0/64", NEITHER],
  [" 10.0.0.0/8", NEITHER],
  ["10.0.0.0/", "from 0 to 32"],
  ["10.0.0.0/33", "from 0 to 32"],
  ["10.0.0.0/-1", "from 0 to 32"],
  ["10.0.0.0/08", "from 0 to 32"],
  ["10.0.0.0/8 ", "from 0 to 32"],
  ["10.0.0.0/8/8", "from 0 to 32"],
  ["10.0.0.0/+8", "from 0 to 32"],
  ["10.0.0.0/0x8", "from 0 to 32"],
  ["10.0.0.0/8.0", "from 0 to 32"],
  ["10.0.0.0/255.0.0.0", "from 0 to 32"],
  ["::/129", "from 0 to 128"],
  ["::/1000", "from 0 to 128"],
  ["10.0.0.1/8", "10.0.0.0/8 is the whole block, 10.0.0.1 the one address"],
  ["10.128.0.0/8", "10.0.0.0/8 is"],
  ["1.2.3.4/0", "0.0.0.0/0 is"],
  ["1.2.3.5/31", "1.2.3.4/31 is"],
  ["[fe80::1]/64", "fe80::/64 is the whole block, fe80::1 the one"],
  ["fec0::/9", "fe80::/9 is the whole block"],
  ["::ffff:10.0.0.1/104", "::ffff:10.0.0.0/104 is"],
  ["::ffff:0:0/95", "::fffe:0:0/95 is"],
];

for (const [text, message] of FAULTS) {
  test(`cidrFault() explains why ${JSON.stringify(text)} is invalid`, () => {
    assertEquals(parseCidr(text), undefined);
    assertStringIncludes(cidrFault(text)!, message);
    assertStringIncludes(cidrFault(text)!, JSON.stringify(text));
  });
}

/** A block, texts inside it, texts outside it. */
const MEMBERS: readonly [string, string[], string[]][] = [
  [
    "10.0.0.0/8",
    [
      "10.0.0.0",
      "10.255.255.255",
      "::ffff:10.1.2.3",
      "::FFFF:a01:203",
      "64:ff9b::10.1.2.3",
      "2002:a01:203::1",
    ],
    [
      "9.255.255.255",
      "11.0.0.0",
      "::10.0.0.1",
      "::ffff:11.0.0.1",
      "a00::",
      "64:ff9b:1::10.1.2.3",
      "10.1",
      "10.0.0.1%lo",
      "name",
      "",
    ],
  ],
  ["0.0.0.0/0", ["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], [
    "::",
    "::1",
  ]],
  ["192.0.2.1", ["192.0.2.1", "::ffff:192.0.2.1"], ["192.0.2.0", "192.0.2.2"]],
  [
    "::/0",
    ["::", "::1", "2001:db8::1", "64:ff9b::1.2.3.4", "::1.2.3.4"],
    ["1.2.3.4", "::ffff:1.2.3.4", "[::1]", "name"],
  ],
  [
    "fe80::/10",
    ["fe80::1", "febf::", "fe80::1%eth0"],
    ["fec0::", "fe7f::", "fe80::1/64", "fe80%::1"],
  ],
  ["::1", ["::1", "0::1", "::1%lo"], ["::", "::2", "127.0.0.1"]],
  [
    "::ffff:10.0.0.0/104",
    ["10.0.0.1", "::ffff:10.0.0.1"],
    ["11.0.0.1", "::a00:1"],
  ],
];

for (const [text, inside, outside] of MEMBERS) {
  test(`cidrContains() is true for the addresses of ${text} only`, () => {
    const cidr = parseCidr(text)!;
    for (const it of inside) assertEquals(cidrContains(cidr, it), true, it);
    for (const it of outside) assertEquals(cidrContains(cidr, it), false, it);
  });
}

test("cidrContains() compares bits", () => {
  const next = random(31);
  let held = 0;
  for (let i = 0; i < 20_000; i++) {
    const size = next(2) === 0 ? 4 : 16;
    const address = randomAddress(size, next);
    const cidr = randomCidr(address, next);
    // Mostly the same address with one bit flipped.
    const other = next(8) === 0
      ? randomAddress(next(2) === 0 ? 4 : 16, next)
      : turned(address, next(size * 8 + 1));
    const text = formatIp(other);
    const expected = naive(cidr, text);
    assertEquals(cidrContains(cidr, text), expected, `${cidr.text} ${text}`);
    assertEquals(cidrContains(cidr, other), expected, `${cidr.text} ${text}`);
    if (expected) held++;
  }
  assert(held > 5_000 && held < 15_000, `${held}`);
});

function randomAddress(size: number, next: (n: number) => number): Uint8Array {
  const address = Uint8Array.from({ length: size }, () => next(256));
  if (size === 4) return address;
  const heads = ["::ffff:0:0", "64:ff9b::", "2002::", "::"];
  const head = next(8);
  if (head < 4) {
    address.set(parseIp(heads[head])!.subarray(0, [12, 12, 2, 12][head]));
  }
  return address;
}

/** The block of a random length that contains the address. */
function randomCidr(address: Uint8Array, next: (n: number) => number): Cidr {
  const prefix = next(address.length * 8 + 1);
  const bits = bitsOf(address).slice(0, prefix).padEnd(address.length * 8, "0");
  const network = address.map((_, i) =>
    parseInt(bits.slice(8 * i, 8 * i + 8), 2)
  );
  return parseCidr(`${formatIp(network)}/${prefix}`)!;
}

function turned(address: Uint8Array, bit: number): Uint8Array {
  return address.map((octet, i) =>
    i === bit >> 3 ? octet ^ 0x80 >> (bit & 7) : octet
  );
}

function bitsOf(address: Uint8Array): string {
  return [...address].map((it) => it.toString(2).padStart(8, "0")).join("");
}

function naive({ network, prefix }: Cidr, text: string): boolean {
  const mapped = text.startsWith("::ffff:") && text.includes(".");
  const judged = network.length === 4 || mapped
    ? embeddedIpv4(text) ?? text
    : text;
  const bits = bitsOf(parseIp(judged)!);
  const own = bitsOf(network);
  return bits.length === own.length &&
    bits.slice(0, prefix) === own.slice(0, prefix);
}
