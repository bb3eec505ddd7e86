/**
 * Blocks of IP addresses (RFC 4632, RFC 4291 section 2.3).
 *
 * @module
 */

import {
  embeddedOctets,
  formatIp,
  isMapped,
  parseIp,
  parseZoned,
} from "./ip.ts";

/** The addresses that begin with the same bits. */
export interface Cidr {
  /** In canonical form: `10.0.0.0/8`, `2001:db8::/32`. */
  readonly text: string;
  /** The first address: 4 or 16 octets, zero behind the prefix. */
  readonly network: Uint8Array;
  /** How many bits they share: 0 to 32, or 0 to 128. */
  readonly prefix: number;
}

/**
 * The block that `text` means, or `undefined` when it means none; {@linkcode
 * cidrFault} says why.
 *
 * It is an address as `parseIp` takes it, IPv6 also in brackets, and behind a
 * slash the length of the prefix. An address alone is a block of one. Bits
 * behind the prefix must be zero: `10.1.2.3/8` is more likely a mistake than
 * `10.0.0.0/8`. A block of IPv4-mapped addresses is that of the IPv4 addresses.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseCidr("10.0.0.0/8")?.prefix, 8);
 * assertEquals(parseCidr("[2001:DB8::1]")?.text, "2001:db8::1/128");
 * assertEquals(parseCidr("::ffff:10.0.0.0/104")?.text, "10.0.0.0/8");
 * assertEquals(parseCidr("10.1.2.3/8"), undefined);
 * ```
 */
export function parseCidr(text: string): Cidr | undefined {
  const cidr = read(text);
  return typeof cidr === "string" ? undefined : cidr;
}

/**
 * What is wrong with a text that {@linkcode parseCidr} does not take, for
 * people; `undefined` for one that it takes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   cidrFault("10.1.2.3/8"),
 *   '"10.1.2.3/8" has bits behind its prefix: 10.0.0.0/8 is the whole block, 10.1.2.3 the one address',
 * );
 * assertEquals(cidrFault("10.0.0.0/8"), undefined);
 * ```
 */
export function cidrFault(text: string): string | undefined {
  const cidr = read(text);
  return typeof cidr === "string" ? cidr : undefined;
}

/** The block, or what is wrong with the text. */
function read(text: string): Cidr | string {
  const shown = JSON.stringify(text);
  const slash = text.indexOf("/");
  const address = parseIp(
    withoutBrackets(slash === -1 ? text : text.slice(0, slash)),
  );
  if (address === undefined) {
    return `${shown} is neither an IP address nor ADDRESS/PREFIX`;
  }
  const bits = address.length * 8;
  const prefix = slash === -1 ? bits : readPrefix(text.slice(slash + 1));
  if (!(prefix <= bits)) {
    return `the prefix of ${shown} must be a number from 0 to ${bits}`;
  }
  const cidr = blockOf(address, prefix);
  if (sharesBits(address, cidr.network, bits)) return plain(cidr);
  return `${shown} has bits behind its prefix: ` +
    `${cidr.text} is the whole block, ${formatIp(address)} the one address`;
}

function withoutBrackets(text: string): string {
  return /^\[(.*:.*)\]$/.exec(text)?.[1] ?? text;
}

/** `NaN` when it is no number. */
function readPrefix(digits: string): number {
  return /^(?:0|[1-9]\d{0,2})$/.test(digits) ? Number(digits) : NaN;
}

function blockOf(address: Uint8Array, prefix: number): Cidr {
  const network = address.map((octet, i) => {
    const kept = Math.min(Math.max(prefix - 8 * i, 0), 8);
    return octet & 0xff00 >> kept;
  });
  return { text: `${formatIp(network)}/${prefix}`, network, prefix };
}

/** The block in IPv4 when its addresses are IPv4-mapped. */
function plain(cidr: Cidr): Cidr {
  const { network, prefix } = cidr;
  if (prefix < 96 || !isMapped(network)) return cidr;
  return blockOf(network.slice(12), prefix - 96);
}

/**
 * Whether the block holds the address: a text, whose zone (`fe80::1%eth0`) does
 * not count, or the octets of one. A name is in no block.
 *
 * An IPv4 block also holds the IPv6 addresses that stand for its addresses
 * ({@linkcode embeddedIpv4} of `ip.ts`); an IPv6 block holds no IPv4 address,
 * IPv4-mapped or not.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const cidr = parseCidr("10.0.0.0/8")!;
 * assertEquals(cidrContains(cidr, "10.1.2.3"), true);
 * assertEquals(cidrContains(cidr, "::ffff:10.1.2.3"), true);
 * assertEquals(cidrContains(cidr, "64:ff9b::10.1.2.3"), true);
 * assertEquals(cidrContains(parseCidr("::/0")!, "10.1.2.3"), false);
 * ```
 */
export function cidrContains(
  { network, prefix }: Cidr,
  address: string | Uint8Array,
): boolean {
  const octets = typeof address === "string" ? parseZoned(address) : address;
  if (octets === undefined) return false;
  if (network.length === 16) {
    return octets.length === 16 && !isMapped(octets) &&
      sharesBits(octets, network, prefix);
  }
  const four = octets.length === 4 ? octets : embeddedOctets(octets);
  return four !== undefined && sharesBits(four, network, prefix);
}

function sharesBits(a: Uint8Array, b: Uint8Array, count: number): boolean {
  const whole = count >> 3;
  for (let i = 0; i < whole; i++) {
    if (a[i] !== b[i]) return false;
  }
  const rest = count & 7;
  return rest === 0 || (a[whole] ^ b[whole]) >> (8 - rest) === 0;
}
