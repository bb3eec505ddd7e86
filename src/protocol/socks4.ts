/**
 * The messages of SOCKS4 and its extension SOCKS4a.
 *
 * There is no RFC. The specifications are NEC's "SOCKS: A protocol for TCP proxy across
 * firewalls" and "SOCKS 4A: A Simple Extension to SOCKS 4 Protocol", linked
 * from https://www.openssh.com/specs.html.
 *
 * @module
 */

import { quote } from "./escape.ts";
import type { Endpoint } from "./address.ts";
import {
  type Decoded,
  ProtocolError,
  type ProtocolErrorCode,
} from "./decode.ts";
import { decodeHostname, MAX_HOSTNAME, parseHost } from "./hostname.ts";
import { formatIp, parseIp, unmapIp } from "./ip.ts";
import {
  checkVersion,
  copyOf,
  decodePort,
  encodePort,
  hex,
  octet,
  toOctets,
} from "./octets.ts";

const VERSION = 4;
const REPLY_VERSION = 0;

/** The length of the longest user id in octets; the protocol itself sets no limit. */
export const MAX_USER_ID = 512;

/** Commands of a request; SOCKS4 has no UDP. The last one is Tor's (`socks-extensions.txt`). */
export const COMMAND = {
  /** Open a connection to the target. */
  connect: 1,
  /** Wait for one connection from the target. */
  bind: 2,
  /** Tor: resolve a name. The address in the reply is its IPv4 address. */
  resolve: 0xf0,
} as const;

/** The request of a client; the endpoint is the target. */
export interface RequestMessage extends Endpoint {
  /** A number of {@linkcode COMMAND}, or an unknown one. */
  readonly command: number;
  /** The user id that the client claims: 0 to 512 octets without NUL. */
  readonly userId: Uint8Array;
}

/** The argument of {@linkcode encodeRequest}. */
export interface RequestFields extends Endpoint {
  /** A number of {@linkcode COMMAND}. */
  readonly command: number;
  /** 0 to 512 octets without NUL; a string is encoded as UTF-8. @default {""} */
  readonly userId?: string | Uint8Array;
}

/** The reply of a server; the endpoint (IPv4) is meaningful only for BIND and RESOLVE. */
export interface Reply extends Endpoint {
  /** A number of `reply.REPLY4`: 5A if the request is granted, otherwise 5B to 5D. */
  readonly reply: number;
}

/** The argument of {@linkcode encodeReply}. */
export interface ReplyInit {
  /** A number of `reply.REPLY4`: 5A if the request is granted, otherwise 5B to 5D. */
  readonly reply: number;
  /** An IP address. @default {"0.0.0.0"} */
  readonly hostname?: string;
  /** The port. @default {0} */
  readonly port?: number;
}

// +----+----+----+----+----+----+----+----+----+----+....+----+
// | VN | CD | DSTPORT |      DSTIP        | USERID       |NULL|   client to
// +----+----+----+----+----+----+----+----+----+----+....+----+   server
//   1    1       2             4             variable      1
//
// SOCKS4a: DSTIP is 0.0.0.x with x other than 0, and after NULL follows
//
// +----+----+....+----+
// | hostname     |NULL|
// +----+----+....+----+
//    variable      1

/**
 * Encodes a request: plain SOCKS4 for an IPv4 address, SOCKS4a for a name or an
 * IPv6 address, and for 0.0.0.1 to 0.0.0.255, which SOCKS4 cannot express.
 *
 * @throws {TypeError} if the command does not fit in one octet, the hostname is
 * neither a name nor an IP address, the port is out of range, or the user id is
 * too long or contains a NUL.
 *
 * @example
 * ```ts
 * import { socks4 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = socks4.encodeRequest({
 *   command: socks4.COMMAND.connect,
 *   hostname: "192.0.2.1",
 *   port: 80,
 *   userId: "al",
 * });
 * assertEquals(
 *   octets,
 *   Uint8Array.of(4, 1, 0, 80, 192, 0, 2, 1, 0x61, 0x6c, 0),
 * );
 * ```
 */
export function encodeRequest(
  { command, hostname, port, userId = "" }: RequestFields,
): Uint8Array {
  const ip = parseHost(hostname);
  const plain = ip?.length === 4 && !is4a(ip, 0);
  return Uint8Array.of(
    VERSION,
    octet(command, "command"),
    ...encodePort(port),
    ...(plain ? ip : [0, 0, 0, 1]),
    ...encodeUserId(userId),
    ...(plain ? [] : [...toOctets(hostname), 0]),
  );
}

function encodeUserId(userId: string | Uint8Array): number[] {
  const octets = toOctets(userId);
  if (octets.length > MAX_USER_ID) {
    throw new TypeError(`user id is longer than ${MAX_USER_ID} octets`);
  }
  if (octets.includes(0)) throw new TypeError("user id contains a NUL");
  return [...octets, 0];
}

/**
 * Decodes a request of SOCKS4 or SOCKS4a of at most 777 octets. A SOCKS4a name
 * is returned in the form of `address.canonicalHostname`: as an IP address if it
 * is one in disguise, otherwise in lower case without a trailing dot. 0.0.0.0 is
 * a plain address. An unknown command is not an error, so that the server can
 * answer it with 5B.
 *
 * @throws {ProtocolError} `"version"` at the first octet; `"user-id"` at octet
 * 513 of the user id; `"hostname"` at the first invalid octet of the name.
 *
 * @example
 * ```ts
 * import { socks4 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = socks4.encodeRequest({
 *   command: socks4.COMMAND.connect,
 *   hostname: "example.com",
 *   port: 80,
 * });
 * assertEquals(socks4.decodeRequest(octets)?.value.hostname, "example.com");
 * ```
 */
export function decodeRequest(
  octets: Uint8Array,
): Decoded<RequestMessage> | undefined {
  checkVersion(octets, VERSION);
  const userEnd = indexOfNul(octets, 8, MAX_USER_ID, "user-id");
  if (userEnd === undefined) return undefined;
  const host = is4a(octets, 4)
    ? decodeName(octets, userEnd + 1)
    : { value: formatIp(octets.subarray(4, 8)), size: 0 };
  if (host === undefined) return undefined;
  return {
    value: {
      command: octets[1],
      hostname: host.value,
      port: decodePort(octets, 2),
      userId: copyOf(octets, 8, userEnd),
    },
    size: userEnd + 1 + host.size,
  };
}

/** Whether the address at `offset` announces a name: 0.0.0.x, x not 0. */
function is4a(octets: Uint8Array, offset: number): boolean {
  return octets[offset] === 0 && octets[offset + 1] === 0 &&
    octets[offset + 2] === 0 && octets[offset + 3] !== 0;
}

function decodeName(
  octets: Uint8Array,
  start: number,
): Decoded<string> | undefined {
  const end = indexOfNul(octets, start, MAX_HOSTNAME, "hostname");
  const value = decodeHostname(octets, start, end ?? Infinity);
  if (value === undefined || end === undefined) return undefined;
  return { value, size: end + 1 - start };
}

/** Returns the end of a field of at most `max` octets if its NUL has arrived. */
function indexOfNul(
  octets: Uint8Array,
  start: number,
  max: number,
  code: ProtocolErrorCode,
): number | undefined {
  const stop = Math.min(octets.length, start + max + 1);
  for (let i = start; i < stop; i++) {
    if (octets[i] === 0) return i;
  }
  if (octets.length <= start + max) return undefined;
  throw new ProtocolError(code, `${code} is longer than ${max} octets`);
}

// +----+----+----+----+----+----+----+----+
// | VN | CD | DSTPORT |      DSTIP        |   server to client
// +----+----+----+----+----+----+----+----+
//   1    1       2             4

/**
 * Encodes a reply of 8 octets. An IPv4-mapped address is sent as IPv4; any other
 * IPv6 address does not fit and is replaced with 0.0.0.0.
 *
 * @throws {TypeError} if the reply does not fit in one octet, the hostname is not
 * an IP address, or the port is out of range.
 *
 * @example
 * ```ts
 * import { reply, socks4 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const granted = socks4.encodeReply({ reply: reply.REPLY4.granted });
 * assertEquals(granted, Uint8Array.of(0, 0x5a, 0, 0, 0, 0, 0, 0));
 * ```
 */
export function encodeReply(
  { reply, hostname = "0.0.0.0", port = 0 }: ReplyInit,
): Uint8Array {
  const ip = parseIp(unmapIp(hostname));
  if (ip === undefined) {
    throw new TypeError(`${quote(hostname)} is not an IP address`);
  }
  return Uint8Array.of(
    REPLY_VERSION,
    octet(reply, "reply"),
    ...encodePort(port),
    ...(ip.length === 4 ? ip : [0, 0, 0, 0]),
  );
}

/**
 * Decodes a reply of 8 octets. Its code must be one of the four. VN is ignored: it
 * should be 0, but some servers send 4, and the octet has no other use.
 *
 * @throws {ProtocolError} `"reply"` at the second octet.
 *
 * @example
 * ```ts
 * import { socks4 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(0, 0x5b, 0, 0, 0, 0, 0, 0);
 * assertEquals(socks4.decodeReply(octets)?.value.reply, 0x5b);
 * ```
 */
export function decodeReply(octets: Uint8Array): Decoded<Reply> | undefined {
  if (octets.length < 2) return undefined;
  const reply = octets[1];
  if (reply < 0x5a || reply > 0x5d) {
    throw new ProtocolError("reply", `reply code is ${hex(reply)}`);
  }
  if (octets.length < 8) return undefined;
  const hostname = formatIp(octets.subarray(4, 8));
  return { value: { reply, hostname, port: decodePort(octets, 2) }, size: 8 };
}
