/**
 * The canonical form of hostnames that users write.
 *
 * @module
 */

import { formatIp, parseIp, unmapIp } from "../protocol/address.ts";
import { asciiHostname } from "../protocol/hostname.ts";

/**
 * An IPv6 address without brackets and in the form that sockets report, an
 * IPv4-mapped one as IPv4; a name that is not ASCII in its ASCII form; any other
 * hostname unchanged.
 */
export function plainHostname(hostname: string): string {
  const ip = parseIp(hostname.replace(/^\[(.*)\]$/, "$1"));
  return ip?.length === 16 ? unmapIp(formatIp(ip)) : asciiHostname(hostname);
}
