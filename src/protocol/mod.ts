/**
 * The codecs of SOCKS4, SOCKS4a, SOCKS5 and HTTP CONNECT: pure functions between
 * octets and values, without any I/O. They suit clients, servers and tests of your
 * own.
 *
 * Each namespace holds the codecs of one kind of message. An encoder returns a
 * new `Uint8Array`, and throws a `TypeError` if a value does not fit. A decoder
 * is incremental: see {@linkcode Decode}.
 *
 * @example Encode a CONNECT request, and decode it as a server does
 * ```ts
 * import { type Endpoint, reply, socks5 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const target: Endpoint = { hostname: "example.com", port: 443 };
 * const octets = socks5.encodeRequest({
 *   command: socks5.COMMAND.connect,
 *   ...target,
 * });
 *
 * // TCP may deliver a part of the request first.
 * assertEquals(socks5.decodeRequest(octets.subarray(0, 8)), undefined);
 * assertEquals(socks5.decodeRequest(octets), {
 *   value: { command: socks5.COMMAND.connect, ...target },
 *   size: octets.length,
 * });
 *
 * const answer = socks5.encodeReply({ reply: reply.REPLY.succeeded });
 * assertEquals(socks5.decodeReply(answer)?.value.reply, 0);
 * ```
 *
 * @module
 */

export {
  type Decode,
  type Decoded,
  ProtocolError,
  type ProtocolErrorCode,
} from "./decode.ts";
export {
  type Endpoint,
  formatEndpoint,
  isIp,
  parseEndpoint,
} from "./address.ts";

/** Endpoints, IP addresses, CIDR blocks and hostnames. */
export * as address from "./address.ts";
/** The messages of CHAP for SOCKS5 (draft-ietf-aft-socks-chap-01). */
export * as chap from "./chap.ts";
/** The datagrams of UDP ASSOCIATE and their fragments (RFC 1928 section 7). */
export * as datagram from "./datagram.ts";
/** The Basic login of HTTP (RFC 7617). */
export * as httpBasic from "./http_basic.ts";
/** The messages of HTTP CONNECT (RFC 9110 section 9.3.6). */
export * as httpConnect from "./http_connect.ts";
/** The messages of GSSAPI authentication (RFC 1961). */
export * as gssapi from "./gssapi.ts";
/** The username/password sub-negotiation of SOCKS5 (RFC 1929). */
export * as password from "./password.ts";
/** The header of the PROXY protocol, which load balancers send. */
export * as proxyHeader from "./proxy_header.ts";
/** The reply codes of SOCKS4 and SOCKS5. */
export * as reply from "./reply.ts";
/** The messages of SOCKS4 and SOCKS4a. */
export * as socks4 from "./socks4.ts";
/** The messages of SOCKS5 (RFC 1928 sections 3 to 6). */
export * as socks5 from "./socks5.ts";
