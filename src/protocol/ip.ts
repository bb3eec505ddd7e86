/**
 * Strict conversion of IP addresses between text and octets: a text has only one
 * meaning, so the address that a policy checked is the address that is dialled.
 *
 * @module
 */

const IPV6_GROUP = /^[0-9a-f]{1,4}$/i;
/** The length of `0000:0000:0000:0000:0000:ffff:255.255.255.255`. */
const MAX_TEXT = 45;

/**
 * Parses an IP address. Returns its 4 or 16 octets, or `undefined` if `text` is
 * not an IP address.
 *
 * An IPv4 address has four decimal parts without leading zeros. `127.1`,
 * `0x7f.0.0.1` and `010.0.0.1`, which some resolvers accept, are rejected
 * (`canonicalHostname` recognizes them). An IPv6 address may have any form of
 * RFC 4291 section 2.2, without brackets and without a zone.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(address.parseIp("127.0.0.1"), Uint8Array.of(127, 0, 0, 1));
 * assertEquals(address.parseIp("::1")?.length, 16);
 * assertEquals(address.parseIp("127.1"), undefined);
 * ```
 */
export function parseIp(text: string): Uint8Array | undefined {
  if (text.length > MAX_TEXT) return undefined;
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Written without a regular expression, because it runs several times for each connection. */
function parseIpv4(text: string): Uint8Array | undefined {
  if (text.length < 7 || text.length > 15) return undefined;
  const octets = new Uint8Array(4);
  let place = 0;
  let digits = 0;
  let value = 0;
  for (let i = 0; i <= text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30; // NaN at the end
    if (digit >= 0 && digit <= 9) {
      if (digits > 0 && value === 0) return undefined; // 01
      value = value * 10 + digit;
      if (++digits > 3 || value > 255) return undefined;
      continue;
    }
    const ends = i === text.length;
    if (digits === 0 || ends !== (place === 3)) return undefined;
    if (!ends && text[i] !== ".") return undefined;
    octets[place++] = value;
    digits = value = 0;
  }
  return octets;
}

/**
 * {@linkcode parseIp} that also accepts an IPv6 address with a zone, which
 * runtimes append to link-local addresses (RFC 4007 section 11). The zone is not
 * part of the result.
 */
export function parseZoned(text: string): Uint8Array | undefined {
  const end = text.indexOf("%");
  if (end === -1) return parseIp(text);
  const octets = parseIp(text.slice(0, end));
  return octets?.length === 16 ? octets : undefined;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const plain = withoutDottedQuad(text);
  if (plain === undefined) return undefined;
  const [head, tail, more] = plain.split("::");
  if (more !== undefined) return undefined;

  const front = parseGroups(head);
  const back = parseGroups(tail ?? "");
  if (front === undefined || back === undefined) return undefined;
  const missing = 8 - front.length - back.length;
  // "::" stands for at least one group.
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;

  const groups = [...front, ...new Array<number>(missing).fill(0), ...back];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** Rewrites `::ffff:1.2.3.4` as `::ffff:102:304`; the quad must be at the end. */
function withoutDottedQuad(text: string): string | undefined {
  if (!text.includes(".")) return text;
  const start = text.lastIndexOf(":") + 1;
  const quad = parseIpv4(text.slice(start));
  if (quad === undefined) return undefined;
  const [a, b, c, d] = quad;
  return text.slice(0, start) +
    `${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`;
}

function parseGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  if (!groups.every((group) => IPV6_GROUP.test(group))) return undefined;
  return groups.map((group) => parseInt(group, 16));
}

/**
 * Formats the 4 or 16 octets of an IP address, from `start` to `end`, in
 * canonical form. By default all octets are used.
 *
 * IPv6 follows RFC 5952: lower case, no leading zeros, `::` for the longest run
 * of two or more zero groups (the first of equals), and the mixed notation
 * `::ffff:1.2.3.4` for IPv4-mapped addresses.
 *
 * @throws {TypeError} if there are neither 4 nor 16 octets.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(address.formatIp(Uint8Array.of(127, 0, 0, 1)), "127.0.0.1");
 * assertEquals(address.formatIp(new Uint8Array(16)), "::");
 * ```
 */
export function formatIp(
  octets: Uint8Array,
  start: number = 0,
  end: number = octets.length,
): string {
  const size = end - start;
  if (size === 4) return formatIpv4(octets, start);
  if (size === 16) return formatIpv6(octets.subarray(start, end));
  throw new TypeError(`an IP address has 4 or 16 octets, not ${size}`);
}

function formatIpv6(octets: Uint8Array): string {
  if (isMapped(octets)) return `::ffff:${formatIpv4(octets, 12)}`;
  return formatGroups(
    Array.from({ length: 8 }, (_, i) => octets[2 * i] << 8 | octets[2 * i + 1]),
  );
}

function formatIpv4(octets: Uint8Array, at: number): string {
  return `${octets[at]}.${octets[at + 1]}.${octets[at + 2]}.${octets[at + 3]}`;
}

function formatGroups(groups: number[]): string {
  const { start, length } = longestZeroRun(groups);
  const text = groups.map((group) => group.toString(16));
  if (length < 2) return text.join(":");
  const front = text.slice(0, start).join(":");
  const back = text.slice(start + length).join(":");
  return `${front}::${back}`;
}

function longestZeroRun(groups: number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (let i = 0; i < groups.length; i++) {
    length = groups[i] === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: i + 1 - length, length };
  }
  return best;
}

/** Whether an address is IPv4-mapped: `::ffff:0:0/96`, RFC 4291 section 2.5.5.2. */
export function isMapped(octets: Uint8Array): boolean {
  return octets.length === 16 && octets[10] === 0xff && octets[11] === 0xff &&
    octets.subarray(0, 10).every((octet) => octet === 0);
}

/**
 * Returns the IP version of an address, or 0 if {@linkcode parseIp} rejects the
 * text.
 *
 * @example
 * ```ts
 * import { isIp } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(["10.0.0.1", "::1", "[::1]"].map(isIp), [4, 6, 0]);
 * ```
 */
export function isIp(text: string): 0 | 4 | 6 {
  const octets = parseIp(text);
  if (octets === undefined) return 0;
  return octets.length === 4 ? 4 : 6;
}

/**
 * Converts an IPv4-mapped IPv6 address, in any notation, to IPv4. Returns any
 * other text unchanged.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(address.unmapIp("::ffff:192.0.2.1"), "192.0.2.1");
 * assertEquals(address.unmapIp("::FFFF:c000:201"), "192.0.2.1");
 * assertEquals(address.unmapIp("2001:db8::1"), "2001:db8::1");
 * ```
 */
export function unmapIp(text: string): string {
  const octets = text.includes(":") ? parseIp(text) : undefined;
  if (octets === undefined || !isMapped(octets)) return text;
  return formatIp(octets.subarray(12));
}

/**
 * Returns the IPv4 address embedded in an IPv6 address whose packets reach that
 * IPv4 address: IPv4-mapped `::ffff:0:0/96` (RFC 4291), translated
 * `64:ff9b::/96` (RFC 6052) and 6to4 `2002::/16` (RFC 3056). Returns `undefined`
 * for any other text.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const { embeddedIpv4 } = address;
 * assertEquals(embeddedIpv4("::ffff:7f00:1"), "127.0.0.1");
 * assertEquals(embeddedIpv4("64:ff9b::127.0.0.1"), "127.0.0.1");
 * assertEquals(embeddedIpv4("2002:7f00:1::"), "127.0.0.1");
 * assertEquals(embeddedIpv4("127.0.0.1"), undefined);
 * ```
 */
export function embeddedIpv4(text: string): string | undefined {
  const octets = text.includes(":") ? parseZoned(text) : undefined;
  const embedded = octets && embeddedOctets(octets);
  return embedded && formatIp(embedded);
}

/** {@linkcode embeddedIpv4} for octets; the result shares memory with them. */
export function embeddedOctets(octets: Uint8Array): Uint8Array | undefined {
  if (octets.length !== 16) return undefined;
  if (octets[0] === 0x20 && octets[1] === 0x02) return octets.subarray(2, 6);
  return isMapped(octets) || isTranslated(octets)
    ? octets.subarray(12)
    : undefined;
}

/** Whether an address is IPv4-translated: `64:ff9b::/96`, RFC 6052 section 2.1. */
function isTranslated(octets: Uint8Array): boolean {
  return octets[0] === 0 && octets[1] === 0x64 && octets[2] === 0xff &&
    octets[3] === 0x9b && octets.subarray(4, 12).every((octet) => octet === 0);
}

/**
 * Whether `text` is a loopback address: `127.0.0.0/8`, also IPv4-mapped, or
 * `::1`. A name (`localhost`) is not.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(address.isLoopback("127.9.9.9"), true);
 * assertEquals(address.isLoopback("::ffff:127.0.0.1"), true);
 * assertEquals(address.isLoopback("0.0.0.0"), false);
 * ```
 */
export function isLoopback(text: string): boolean {
  const octets = parseIp(unmapIp(text));
  if (octets === undefined) return false;
  return octets.length === 4 ? octets[0] === 127 : formatIp(octets) === "::1";
}

/**
 * Whether `text` is the unspecified address: `0.0.0.0` or `::`, in any notation.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(address.isUnspecified("0.0.0.0"), true);
 * assertEquals(address.isUnspecified("::"), true);
 * assertEquals(address.isUnspecified("::1"), false);
 * assertEquals(address.isUnspecified("example.com"), false);
 * ```
 */
export function isUnspecified(text: string): boolean {
  return parseIp(unmapIp(text))?.every((octet) => octet === 0) ?? false;
}
