/**
 * The addresses that count as one client.
 *
 * @module
 */

import { formatIp, parseIp, unmapIp } from "../protocol/ip.ts";

/**
 * The key under which a client address is counted. An IPv4 address is its own key. The
 * IPv6 addresses of a /64 are counted together, because a machine can use any of them.
 * (The owner of a /48 still has 65,536 keys.) Link-local addresses, and those that a
 * translator makes from IPv4 (RFC 6052), share their /64 with other machines, so each is
 * its own key. A zone such as `%eth0` is ignored. Text that is not an IP address is its
 * own key.
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
  const bytes = parseIp(bare);
  if (bytes === undefined) return hostname;
  if (isShared(bytes)) return unmapIp(formatIp(bytes));
  return `${formatIp(bytes.fill(0, 8))}/64`;
}

/**
 * Whether different machines share the /64: in `fe80::/10`, in `64:ff9b::/32`,
 * and in `::/64`, which has the IPv4-mapped addresses.
 */
function isShared(bytes: Uint8Array): boolean {
  const [a, b, c, d] = bytes;
  return a === 0xfe && (b & 0xc0) === 0x80 ||
    a === 0 && b === 0x64 && c === 0xff && d === 0x9b ||
    bytes.subarray(0, 8).every((byte) => byte === 0);
}
