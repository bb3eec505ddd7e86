/**
 * The special-purpose IP addresses: those outside the public Internet.
 *
 * @module
 */

import { type Cidr, cidrContains, parseCidr } from "./cidr.ts";
import { embeddedOctets, parseZoned } from "./ip.ts";

/**
 * The IANA IPv4 Special-Purpose Address Registry and multicast, and the addresses of
 * clouds' internal services that no registry has. Most of those are in blocks of the
 * registries: 169.254.169.254 and 169.254.170.2 (AWS, Google, Azure and others),
 * 100.100.100.200 (Alibaba), 192.0.0.192 (Oracle), fd00:ec2::254 (AWS), fd20:ce::254
 * (Google).
 */
const IPV4 = [
  "0.0.0.0/8", // this network, RFC 791
  "10.0.0.0/8", // private, RFC 1918
  "100.64.0.0/10", // shared, RFC 6598
  "127.0.0.0/8", // loopback, RFC 1122
  "168.63.129.16/32", // the platform of Azure: DNS, DHCP, health probes, certificates
  "169.254.0.0/16", // link-local, cloud metadata services, RFC 3927
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments, RFC 6890
  "192.0.2.0/24", // documentation, RFC 5737
  "192.31.196.0/24", // AS112, the reverse DNS of private networks, RFC 7535
  "192.52.193.0/24", // multicast tunnels (AMT), RFC 7450
  "192.88.99.0/24", // 6to4 relays, deprecated, RFC 7526
  "192.168.0.0/16", // private
  "192.175.48.0/24", // AS112, RFC 7534
  "198.18.0.0/15", // benchmarks, RFC 2544
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast, RFC 5771
  "240.0.0.0/4", // reserved, RFC 1112, and broadcast
] as const;

/**
 * Everything outside 2000::/3, the only global unicast addresses that IANA has allocated
 * (RFC 4291 section 2.4): loopback, unique local, link-local, multicast, segment routing
 * and so on. Within it, the IANA IPv6 Special-Purpose Address Registry.
 */
const IPV6 = [
  "::/3",
  "4000::/2",
  "8000::/1",
  "2001::/23", // protocol assignments, Teredo among them, RFC 2928
  "2001:db8::/32", // documentation, RFC 3849
  "2620:4f:8000::/48", // AS112, the reverse DNS of private networks, RFC 7534
  "3fff::/20", // documentation, RFC 9637
] as const;

/**
 * Whether `text` is an address outside the public Internet (loopback, private,
 * link-local, services of clouds, multicast, reserved, …), which a public proxy should
 * not open to its clients.
 *
 * These are all blocks of IANA's special-purpose registries, also those that are globally
 * reachable (such as AS112), IPv4 multicast and 240.0.0.0/4, 168.63.129.16 (Azure), and
 * every IPv6 address outside 2000::/3. An IPv6 address that embeds an IPv4 address
 * (`embeddedIpv4`: IPv4-mapped, `64:ff9b::/96` or 6to4) is checked as that IPv4 address
 * instead. Unallocated blocks of 2000::/3 do not count. A zone (`fe80::1%eth0`)
 * is ignored. The result for a name is false, so check the addresses that the resolver
 * returns.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const { isSpecialPurpose } = address;
 * assertEquals(isSpecialPurpose("169.254.169.254"), true);
 * assertEquals(isSpecialPurpose("64:ff9b::10.0.0.1"), true);
 * assertEquals(isSpecialPurpose("64:ff9b::8.8.8.8"), false);
 * assertEquals(isSpecialPurpose("localhost"), false);
 * ```
 */
export function isSpecialPurpose(text: string): boolean {
  const octets = parseZoned(text);
  if (octets === undefined) return false;
  const judged = embeddedOctets(octets) ?? octets;
  const ranges = judged.length === 4
    ? ipv4 ??= read(IPV4)
    : ipv6 ??= read(IPV6);
  return ranges.some((range) => cidrContains(range, judged));
}

// Parsed on first use, because a server on loopback starts faster without them.
let ipv4: readonly Cidr[] | undefined;
let ipv6: readonly Cidr[] | undefined;

function read(texts: readonly string[]): readonly Cidr[] {
  return texts.map((text) => parseCidr(text)!);
}
