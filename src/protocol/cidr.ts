/**
 * Blocks of IP addresses (RFC 4632, RFC 4291 section 2.3).
 *
 * @module
 */

import { quote } from "./escape.ts";
import {
  embeddedOctets,
  formatIp,
  isMapped,
  parseIp,
  parseZoned,
} from "./ip.ts";

/** A block of addresses that have a common prefix. */
export interface Cidr {
  /** The canonical form: `10.0.0.0/8`, `2001:db8::/32`. */
  readonly text: string;
  /** The first address of the block: 4 or 16 octets, zero after the prefix. */
  readonly network: Uint8Array;
  /** The length of the prefix in bits: 0 to 32, or 0 to 128. */
  readonly prefix: number;
}

/**
 * Parses a block of addresses. Returns `undefined` if `text` is invalid;
 * {@linkcode cidrFault} returns the reason.
 *
 * The text is an address that `parseIp` accepts, or an IPv6 address in brackets,
 * followed by a slash and the length of the prefix. Without a prefix it is a
 * block of one address. Bits after the prefix must be zero, because
 * `10.1.2.3/8` is more likely to be a mistake than to mean `10.0.0.0/8`. A block
 * of IPv4-mapped addresses is returned as the block of IPv4 addresses.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(address.parseCidr("10.0.0.0/8")?.prefix, 8);
 * assertEquals(address.parseCidr("[2001:DB8::1]")?.text, "2001:db8::1/128");
 * assertEquals(address.parseCidr("::ffff:10.0.0.0/104")?.text, "10.0.0.0/8");
 * assertEquals(address.parseCidr("10.1.2.3/8"), undefined);
 * ```
 */
export function parseCidr(text: string): Cidr | undefined {
  const cidr = read(text);
  return typeof cidr === "string" ? undefined : cidr;
}

/**
 * Returns why {@linkcode parseCidr} rejects a text, as a message for users, or
 * `undefined` if the text is valid.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   address.cidrFault("10.1.2.3/8"),
 *   '"10.1.2.3/8" has bits set after its prefix: ' +
 *     "10.0.0.0/8 is the whole block, 10.1.2.3 the one address",
 * );
 * assertEquals(address.cidrFault("10.0.0.0/8"), undefined);
 * ```
 */
export function cidrFault(text: string): string | undefined {
  const cidr = read(text);
  return typeof cidr === "string" ? cidr : undefined;
}

/** Returns the block, or the reason why the text is invalid. */
function read(text: string): Cidr | string {
  const shown = quote(text);
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
  return `${shown} has bits set after its prefix: ` +
    `${cidr.text} is the whole block, ${formatIp(address)} the one address`;
}

function withoutBrackets(text: string): string {
  return /^\[(.*:.*)\]$/.exec(text)?.[1] ?? text;
}

/** Returns `NaN` if the text is not a number. */
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

/** Converts a block of IPv4-mapped addresses to IPv4. */
function plain(cidr: Cidr): Cidr {
  const { network, prefix } = cidr;
  if (prefix < 96 || !isMapped(network)) return cidr;
  return blockOf(network.slice(12), prefix - 96);
}

/**
 * Whether a block contains an address, given as text or as octets. A zone in the
 * text (`fe80::1%eth0`) is ignored. No block contains a name.
 *
 * An IPv4 block also contains the IPv6 addresses that embed its addresses
 * (`embeddedIpv4`). An IPv6 block contains no IPv4 address, IPv4-mapped or not.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const cidr = address.parseCidr("10.0.0.0/8")!;
 * assertEquals(address.cidrContains(cidr, "10.1.2.3"), true);
 * assertEquals(address.cidrContains(cidr, "::ffff:10.1.2.3"), true);
 * assertEquals(address.cidrContains(cidr, "64:ff9b::10.1.2.3"), true);
 *
 * const ipv6 = address.parseCidr("::/0")!;
 * assertEquals(address.cidrContains(ipv6, "10.1.2.3"), false);
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
