/**
 * Who counts as one client.
 *
 * @module
 */

import { formatIp, parseIp, unmapIp } from "../protocol/ip.ts";

/**
 * What a client address is counted under: an IPv4 address by itself, an IPv6
 * address with all of its /64, for that is what one machine is given to choose
 * its addresses from. (Who has a /48 still has 65,536 keys.) Link-local
 * addresses and those that a translator makes of IPv4 (RFC 6052) share their
 * /64 with strangers and stand for themselves. A zone such as `%eth0` does not
 * count. What is no IP address is its own key.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(clientKey("192.0.2.1"), "192.0.2.1");
 * assertEquals(clientKey("::ffff:192.0.2.1"), "192.0.2.1");
 * assertEquals(clientKey("2001:db8:0:7::1"), "2001:db8:0:7::/64");
 * ```
 */
export function clientKey(hostname: string): string {
  if (!hostname.includes(":")) return hostname;
  const bare = hostname.split("%", 1)[0];
  const octets = parseIp(bare);
  if (octets === undefined) return hostname;
  if (isShared(octets)) return unmapIp(formatIp(octets));
  return `${formatIp(octets.fill(0, 8))}/64`;
}

/** Whether a /64 is not one owner's: `fe80::/10`, `64:ff9b::/32`, and `::/64`, where IPv4-mapped addresses are. */
function isShared(octets: Uint8Array): boolean {
  const [a, b, c, d] = octets;
  return a === 0xfe && (b & 0xc0) === 0x80 ||
    a === 0 && b === 0x64 && c === 0xff && d === 0x9b ||
    octets.subarray(0, 8).every((octet) => octet === 0);
}
