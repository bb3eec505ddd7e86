/**
 * The header of the PROXY protocol, by which a load balancer names the client of a
 * connection. Versions 1 and 2, as in HAProxy's "The PROXY protocol":
 * https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import { type Decoded, ProtocolError } from "./decode.ts";
import { formatIp, parseIp } from "./ip.ts";
import { decodePort, encodePort, hex } from "./octets.ts";

/** The header of a connection. */
export interface ProxyHeader {
  /**
   * The client. `undefined` if the header names none: the balancer has opened the
   * connection by itself, for example for a health check, or the client has no IP address.
   */
  readonly source?: Endpoint;
  /** The address at which the client reached the balancer; set together with `source`. */
  readonly destination?: Endpoint;
}

/** The length of the longest header of version 1 in octets, including CR LF (section 2.1). */
const MAX_V1 = 107;

/**
 * The length of the longest header of version 2 that is accepted, in octets. The protocol
 * allows 65,551; balancers send an address and a few fields, some hundred octets.
 */
export const MAX_PROXY_HEADER = 4_096;

const V1 = new TextEncoder().encode("PROXY ");
const V2 = Uint8Array.of(
  ...[0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a],
);

/** The fixed part of a header of version 2. */
const V2_SIZE = V2.length + 4;
/** Version and command: LOCAL has no client, PROXY has one. */
const LOCAL = 0x20;
const PROXY = 0x21;
/** Address family and transport: TCP over IPv4 and over IPv6. */
const TCP4 = 0x11;
const TCP6 = 0x21;

/**
 * Decodes a header of either version. The optional fields of version 2 (TLV) are skipped.
 * A header without the addresses of a TCP connection over IP (`LOCAL`, `UNKNOWN`, UDP, Unix
 * sockets) is decoded as one without a source.
 *
 * @throws {ProtocolError} `"message"` at the first octet that differs from the start of both
 * versions; if a header of version 1 has more than 107 octets, or one of version 2 more than
 * {@linkcode MAX_PROXY_HEADER}; if an address or a port is malformed.
 *
 * @example
 * ```ts
 * import { proxyHeader } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const line = "PROXY TCP4 203.0.113.9 192.0.2.1 40000 1080\r\n";
 * const octets = new TextEncoder().encode(line);
 * assertEquals(proxyHeader.decodeProxyHeader(octets)?.value, {
 *   source: { hostname: "203.0.113.9", port: 40000 },
 *   destination: { hostname: "192.0.2.1", port: 1080 },
 * });
 * ```
 */
export function decodeProxyHeader(
  octets: Uint8Array,
): Decoded<ProxyHeader> | undefined {
  if (octets.length === 0) return undefined;
  if (octets[0] === V1[0]) return decodeV1(octets);
  if (octets[0] === V2[0]) return decodeV2(octets);
  throw malformed(`begins with octet ${hex(octets[0])}`);
}

// PROXY TCP4 203.0.113.9 192.0.2.1 40000 1080 CR LF                 section 2.1
// PROXY TCP6 2001:db8::9 2001:db8::1 40000 1080 CR LF
// PROXY UNKNOWN, and anything up to CR LF

function decodeV1(octets: Uint8Array): Decoded<ProxyHeader> | undefined {
  checkPrefix(octets, V1);
  const lf = octets.subarray(0, MAX_V1).indexOf(0x0a);
  if (lf < 0) {
    if (octets.length < MAX_V1) return undefined;
    throw malformed(`is longer than ${MAX_V1} octets`);
  }
  const line = String.fromCharCode(...octets.subarray(0, lf + 1));
  return { value: parseLine(line), size: lf + 1 };
}

const LINE =
  /^PROXY (TCP[46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (\d+) (\d+)\r\n$/;

function parseLine(line: string): ProxyHeader {
  if (/^PROXY UNKNOWN( [^\r\n]*)?\r\n$/.test(line)) return {};
  const fields = LINE.exec(line);
  if (!fields) throw malformed("is not a line of version 1");
  const [, protocol, source, destination, from, to] = fields;
  const length = protocol === "TCP4" ? 4 : 16;
  return {
    source: endpointOf(source, from, length),
    destination: endpointOf(destination, to, length),
  };
}

function endpointOf(ip: string, port: string, length: 4 | 16): Endpoint {
  const octets = parseIp(ip);
  if (octets?.length !== length) throw malformed("has an invalid address");
  const number = Number(port);
  if (number <= 65_535 && port === String(number)) {
    return { hostname: formatIp(octets), port: number };
  }
  throw malformed("has an invalid port");
}

// +-----------+-----------+-----+-------+-----------+------+
// | signature | VER + CMD | FAM |  LEN  | addresses | TLVs |          section 2.2
// +-----------+-----------+-----+-------+-----------+------+
// |    12     |     1     |  1  |   2   | Variable  |      |   LEN counts addresses and TLVs
// +-----------+-----------+-----+-------+-----------+------+
//
// addresses: source, destination, source port, destination port; 12 or 36 octets for TCP

function decodeV2(octets: Uint8Array): Decoded<ProxyHeader> | undefined {
  checkPrefix(octets, V2);
  const command = octets[V2.length];
  if (command !== undefined && command !== LOCAL && command !== PROXY) {
    throw malformed(`has version and command ${hex(command)}`);
  }
  if (octets.length < V2_SIZE) return undefined;
  const size = V2_SIZE + decodePort(octets, V2_SIZE - 2);
  if (size > MAX_PROXY_HEADER) {
    throw malformed(`is longer than ${MAX_PROXY_HEADER} octets`);
  }
  const family = octets[V2.length + 1];
  const length = family === TCP4 ? 4 : family === TCP6 ? 16 : 0;
  const hasClient = command === PROXY && length > 0;
  if (hasClient && size < V2_SIZE + 2 * length + 4) {
    throw malformed("is too short for its addresses");
  }
  if (octets.length < size) return undefined;
  return { value: hasClient ? addresses(octets, length) : {}, size };
}

function addresses(octets: Uint8Array, length: number): ProxyHeader {
  const ports = V2_SIZE + 2 * length;
  const at = (index: number): Endpoint => {
    const start = V2_SIZE + index * length;
    const hostname = formatIp(octets, start, start + length);
    return { hostname, port: decodePort(octets, ports + 2 * index) };
  };
  return { source: at(0), destination: at(1) };
}

/**
 * Encodes a header of version 2. Without a source it says `LOCAL`.
 *
 * @throws {TypeError} if only one of source and destination is given, they are not IP
 * addresses of the same version, or a port is out of range.
 *
 * @example
 * ```ts
 * import { proxyHeader } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const source = { hostname: "2001:db8::9", port: 40000 };
 * const destination = { hostname: "2001:db8::1", port: 1080 };
 * const octets = proxyHeader.encodeProxyHeader({ source, destination });
 * assertEquals(proxyHeader.decodeProxyHeader(octets)?.value.source, source);
 * ```
 */
export function encodeProxyHeader(header: ProxyHeader): Uint8Array {
  const { source, destination } = header;
  if (!source && !destination) return Uint8Array.of(...V2, LOCAL, 0, 0, 0);
  const from = parseIp(source?.hostname ?? "");
  const to = parseIp(destination?.hostname ?? "");
  if (!from || !to || from.length !== to.length) {
    throw new TypeError(
      "source and destination must be addresses of one IP version",
    );
  }
  const body = [...from, ...to];
  for (const { port } of [source!, destination!]) {
    body.push(...encodePort(port));
  }
  const family = from.length === 4 ? TCP4 : TCP6;
  return Uint8Array.of(...V2, PROXY, family, 0, body.length, ...body);
}

function checkPrefix(octets: Uint8Array, prefix: Uint8Array): void {
  const wrong = prefix.findIndex((it, i) =>
    i < octets.length && octets[i] !== it
  );
  if (wrong >= 0) {
    throw malformed(`has octet ${hex(octets[wrong])} in its start`);
  }
}

function malformed(why: string): ProtocolError {
  return new ProtocolError("message", `the PROXY header ${why}`);
}
