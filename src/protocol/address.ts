/**
 * Hosts and ports: the ATYP, ADDR and PORT fields that SOCKS5 requests, replies
 * and datagrams share, and their text form.
 *
 * @module
 */

import { quote } from "./escape.ts";
import { type Decoded, ProtocolError } from "./decode.ts";
import {
  asciiHostname,
  canonicalAscii,
  decodeHostname,
  parseHost,
} from "./hostname.ts";
import { formatIp, isIp } from "./ip.ts";
import { decodePort, encodePort, hex, isPort, toOctets } from "./octets.ts";

export { type Cidr, cidrContains, cidrFault, parseCidr } from "./cidr.ts";
export { canonicalHostname, isHostname } from "./hostname.ts";
export {
  embeddedIpv4,
  formatIp,
  isIp,
  isLoopback,
  isUnspecified,
  parseIp,
  unmapIp,
} from "./ip.ts";
export { isSpecialPurpose } from "./special.ts";

/** A host and a port: one end of a connection, or a target. */
export interface Endpoint {
  /**
   * A name, an IPv4 address (`192.0.2.1`) or an IPv6 address in the form of
   * RFC 5952 without brackets (`2001:db8::1`).
   */
  readonly hostname: string;
  /** 0 to 65535. */
  readonly port: number;
}

const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

// +------+----------+------+
// | ATYP |   ADDR   | PORT |   RFC 1928 sections 4 to 7
// +------+----------+------+
// |  1   | Variable |  2   |   ADDR: ATYP 1 4 octets, ATYP 4 16 octets,
// +------+----------+------+         ATYP 3 one length octet and the name

const NOTHING: readonly number[] = [];

/**
 * Encodes an endpoint as the fields ATYP, ADDR and PORT: ATYP 1 or 4 for an IP
 * address, 3 for a name. The octets of `head` precede them; by default there are
 * none.
 *
 * @throws {TypeError} if the hostname is neither a name nor an IP address, or
 * the port is out of range.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   address.encodeAddress({ hostname: "192.0.2.1", port: 80 }),
 *   Uint8Array.of(1, 192, 0, 2, 1, 0, 80),
 * );
 * ```
 */
export function encodeAddress(
  { hostname, port }: Endpoint,
  head: ArrayLike<number> = NOTHING,
): Uint8Array {
  const ip = parseHost(hostname);
  const host = ip ?? toOctets(hostname);
  const start = head.length + (ip ? 1 : 2);
  const octets = new Uint8Array(start + host.length + 2);
  octets.set(head);
  octets[head.length] = ip ? ip.length === 4 ? IPV4 : IPV6 : NAME;
  if (!ip) octets[start - 1] = host.length;
  octets.set(host, start);
  octets.set(encodePort(port), start + host.length);
  return octets;
}

/**
 * Decodes the endpoint whose ATYP is at `offset`. Returns `undefined` if octets
 * are missing; `size` counts from `offset`. A name (ATYP 3) is returned in the
 * form of {@linkcode canonicalHostname}: as an IP address if it is one in
 * disguise, otherwise in lower case without a trailing dot.
 *
 * An invalid name is reported before the port has arrived. If `fallback` is
 * given, an invalid name is skipped by its length and `fallback` returned in its
 * place: for addresses that the receiver does not need.
 *
 * @throws {ProtocolError} `"address-type"` if ATYP is not 1, 3 or 4,
 * `"hostname"` if a name is not a valid host and there is no `fallback`.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(1, 192, 0, 2, 1, 0, 80);
 * assertEquals(address.decodeAddress(octets, 0), {
 *   value: { hostname: "192.0.2.1", port: 80 },
 *   size: 7,
 * });
 * ```
 */
export function decodeAddress(
  octets: Uint8Array,
  offset: number,
  fallback?: string,
): Decoded<Endpoint> | undefined {
  if (octets.length <= offset) return undefined;
  const type = octets[offset];
  const start = offset + (type === NAME ? 2 : 1);
  const length = hostLength(type, octets[offset + 1]);
  if (octets.length < start) return undefined;
  const end = start + length;

  const name = type === NAME
    ? decodeName(octets, start, end, fallback)
    : undefined;
  if (octets.length < end + 2) return undefined;
  const hostname = name ?? formatIp(octets, start, end);
  const port = decodePort(octets, end);
  return { value: { hostname, port }, size: end + 2 - offset };
}

function decodeName(
  octets: Uint8Array,
  start: number,
  end: number,
  fallback?: string,
): string | undefined {
  if (fallback === undefined) return decodeHostname(octets, start, end);
  if (octets.length < end) return undefined;
  const text = String.fromCharCode(...octets.subarray(start, end));
  return canonicalAscii(text) ?? fallback;
}

function hostLength(type: number, next: number): number {
  if (type === IPV4) return 4;
  if (type === IPV6) return 16;
  if (type === NAME) return next;
  throw new ProtocolError("address-type", `address type is ${hex(type)}`);
}

/**
 * Formats an endpoint: `192.0.2.1:80`, `[2001:db8::1]:80`, `example.com:80`.
 *
 * @example
 * ```ts
 * import { formatEndpoint } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(formatEndpoint({ hostname: "::1", port: 1080 }), "[::1]:1080");
 * ```
 */
export function formatEndpoint({ hostname, port }: Endpoint): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/**
 * Parses the text form of {@linkcode formatEndpoint}. The port may be omitted if
 * `defaultPort` is given. IP addresses are returned in canonical form, and names
 * that are not ASCII in their ASCII form. An IPv6 address needs brackets, even
 * without a port.
 *
 * @throws {TypeError} if the text is invalid; the message says why.
 *
 * @example
 * ```ts
 * import { parseEndpoint } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseEndpoint("[::0001]:80"), { hostname: "::1", port: 80 });
 * assertEquals(parseEndpoint("proxy.example", 1080), {
 *   hostname: "proxy.example",
 *   port: 1080,
 * });
 * ```
 */
export function parseEndpoint(text: string, defaultPort?: number): Endpoint {
  const [, bracketed, plain, digits] = ENDPOINT.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) throw notAnEndpoint(text);
  const port = digits === undefined ? defaultPort : parsePort(digits);
  if (port === undefined) {
    throw new TypeError(`${quote(text)} has no port`);
  }
  if (bracketed !== undefined && isIp(bracketed) !== 6) {
    const shown = quote(`[${bracketed}]`);
    throw new TypeError(`${shown} does not contain an IPv6 address`);
  }
  const name = asciiHostname(host);
  const ip = parseHost(name);
  return { hostname: ip === undefined ? name : formatIp(ip), port };
}

const ENDPOINT = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::([^:]*))?$/;
const PORT = /^(?:0|[1-9]\d{0,4})$/;

function parsePort(digits: string): number {
  if (PORT.test(digits) && isPort(Number(digits))) return Number(digits);
  const shown = quote(digits);
  throw new TypeError(`port must be a number from 0 to 65535, not ${shown}`);
}

function notAnEndpoint(text: string): TypeError {
  return new TypeError(
    isIp(text) === 6
      ? `${text} is an IPv6 address and needs brackets: [${text}]`
      : `${quote(text)} is not "HOSTNAME:PORT" or "[IPV6]:PORT"`,
  );
}
