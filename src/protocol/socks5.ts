/**
 * The messages of SOCKS5 (RFC 1928 sections 3 to 6).
 *
 * @module
 */

import { decodeAddress, encodeAddress, type Endpoint } from "./address.ts";
import type { Decoded } from "./decode.ts";
import { checkVersion, copyOf, octet } from "./octets.ts";

const VERSION = 5;

/**
 * Authentication methods: RFC 1928 section 3, and IANA's registry "SOCKS Methods", in
 * which 04 is unassigned. 0A to 7F are unassigned as well, 80 to FE are for private
 * methods.
 */
export const METHOD = {
  /** No authentication. */
  none: 0x00,
  /** GSSAPI, RFC 1961. */
  gssapi: 0x01,
  /** Username and password, RFC 1929. */
  password: 0x02,
  /** CHAP, draft-ietf-aft-socks-chap. */
  chap: 0x03,
  /** Challenge-response authentication, IANA's registry. */
  challengeResponse: 0x05,
  /** Secure Sockets Layer, draft-ietf-aft-socks-ssl. */
  ssl: 0x06,
  /** Novell Directory Services authentication, IANA's registry. */
  nds: 0x07,
  /** Multi-authentication framework, draft-ietf-aft-socks-maf. */
  multiAuth: 0x08,
  /** JSON parameter block, IANA's registry. */
  json: 0x09,
  /** Only in a choice: none of the offered methods is acceptable. */
  unacceptable: 0xff,
} as const;

/** Commands of a request (RFC 1928 section 4), and Tor's (its `socks-extensions.txt`). */
export const COMMAND = {
  /** Open a connection to the target. */
  connect: 1,
  /** Wait for one connection from the target. */
  bind: 2,
  /** Relay datagrams. */
  udpAssociate: 3,
  /** Tor: resolve a name. The bound address of the reply is its IP address. */
  resolve: 0xf0,
  /** Tor: find the name of an IP address. The bound address of the reply is that name. */
  resolvePtr: 0xf1,
} as const;

/** The first message of a client. */
export interface Greeting {
  /** The offered methods as received: 0 to 255, possibly repeated or unknown. */
  readonly methods: Uint8Array;
}

/** The request of a client; the endpoint is the target (DST). */
export interface RequestMessage extends Endpoint {
  /** A number of {@linkcode COMMAND}, or an unknown one. */
  readonly command: number;
}

/** The reply of a server; the endpoint is the bound address (BND). */
export interface Reply extends Endpoint {
  /** A number of `reply.REPLY`; 0 is success. */
  readonly reply: number;
}

/** The argument of {@linkcode encodeReply}. */
export interface ReplyInit {
  /** A number of `reply.REPLY`; 0 is success. */
  readonly reply: number;
  /** The bound address. @default {"0.0.0.0"} */
  readonly hostname?: string;
  /** The bound port. @default {0} */
  readonly port?: number;
}

// +----+----------+----------+
// |VER | NMETHODS | METHODS  |   client to server, RFC 1928 section 3
// +----+----------+----------+
// | 1  |    1     | 1 to 255 |
// +----+----------+----------+

/**
 * Encodes a greeting that offers `methods`.
 *
 * @throws {TypeError} unless there are 1 to 255 methods that fit in one octet.
 *
 * @example
 * ```ts
 * import { socks5 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const { METHOD, encodeGreeting } = socks5;
 * const octets = encodeGreeting([METHOD.none, METHOD.password]);
 * assertEquals(octets, Uint8Array.of(5, 2, 0, 2));
 * ```
 */
export function encodeGreeting(methods: ArrayLike<number>): Uint8Array {
  if (methods.length < 1 || methods.length > 255) {
    throw new TypeError(
      `a greeting has 1 to 255 methods, not ${methods.length}`,
    );
  }
  const list = Array.from(methods, (method) => octet(method, "method"));
  return Uint8Array.of(VERSION, list.length, ...list);
}

/**
 * Decodes a greeting of at most 257 octets. An empty list is not an error, so
 * that the server can answer it with the choice FF.
 *
 * @throws {ProtocolError} `"version"` at the first octet.
 *
 * @example
 * ```ts
 * import { socks5 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(socks5.decodeGreeting(Uint8Array.of(5, 2, 0)), undefined);
 * assertEquals(socks5.decodeGreeting(Uint8Array.of(5, 2, 0, 2)), {
 *   value: { methods: Uint8Array.of(0, 2) },
 *   size: 4,
 * });
 * ```
 */
export function decodeGreeting(
  octets: Uint8Array,
): Decoded<Greeting> | undefined {
  checkVersion(octets, VERSION);
  if (octets.length < 2) return undefined;
  const size = 2 + octets[1];
  if (octets.length < size) return undefined;
  return { value: { methods: copyOf(octets, 2, size) }, size };
}

// +----+--------+
// |VER | METHOD |   server to client, RFC 1928 section 3
// +----+--------+
// | 1  |   1    |
// +----+--------+

/**
 * Encodes the method that a server chose, or {@linkcode METHOD}`.unacceptable`.
 *
 * @throws {TypeError} if the method does not fit in one octet.
 *
 * @example
 * ```ts
 * import { socks5 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = socks5.encodeMethodChoice(socks5.METHOD.password);
 * assertEquals(octets, Uint8Array.of(5, 2));
 * ```
 */
export function encodeMethodChoice(method: number): Uint8Array {
  return Uint8Array.of(VERSION, octet(method, "method"));
}

/**
 * Decodes the method that a server chose. The caller checks whether it was
 * offered.
 *
 * @throws {ProtocolError} `"version"` at the first octet.
 *
 * @example
 * ```ts
 * import { socks5 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(5, 0xff);
 * assertEquals(
 *   socks5.decodeMethodChoice(octets)?.value,
 *   socks5.METHOD.unacceptable,
 * );
 * ```
 */
export function decodeMethodChoice(
  octets: Uint8Array,
): Decoded<number> | undefined {
  checkVersion(octets, VERSION);
  if (octets.length < 2) return undefined;
  return { value: octets[1], size: 2 };
}

// +----+-----+-------+------+----------+----------+
// |VER | CMD |  RSV  | ATYP | DST.ADDR | DST.PORT |   client to server,
// +----+-----+-------+------+----------+----------+   RFC 1928 section 4
// | 1  |  1  | X'00' |  1   | Variable |    2     |
// +----+-----+-------+------+----------+----------+

/**
 * Encodes a request.
 *
 * @throws {TypeError} if the command does not fit in one octet, or the endpoint
 * is invalid.
 *
 * @example
 * ```ts
 * import { socks5 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = socks5.encodeRequest({
 *   command: socks5.COMMAND.connect,
 *   hostname: "192.0.2.1",
 *   port: 443,
 * });
 * assertEquals(octets, Uint8Array.of(5, 1, 0, 1, 192, 0, 2, 1, 1, 187));
 * ```
 */
export function encodeRequest(request: RequestMessage): Uint8Array {
  const command = octet(request.command, "command");
  return encodeAddress(request, [VERSION, command, 0]);
}

/**
 * Decodes a request of at most 262 octets; the host is returned in canonical
 * form. An unknown command is not an error, so that the server can answer it
 * with reply 7. A port of 0 and any value of RSV are accepted as well.
 *
 * @throws {ProtocolError} `"version"` at the first octet; `"address-type"`
 * (reply 8) at ATYP; `"hostname"` (reply 4) at the first invalid octet, possibly
 * before the rest of the request has arrived.
 *
 * @example
 * ```ts
 * import { socks5 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(5, 1, 0, 1, 192, 0, 2, 1, 1, 187);
 * assertEquals(socks5.decodeRequest(octets), {
 *   value: { command: 1, hostname: "192.0.2.1", port: 443 },
 *   size: 10,
 * });
 * ```
 */
export function decodeRequest(
  octets: Uint8Array,
): Decoded<RequestMessage> | undefined {
  checkVersion(octets, VERSION);
  const address = decodeAddress(octets, 3);
  if (address === undefined) return undefined;
  const { hostname, port } = address.value;
  const command = octets[1];
  return { value: { command, hostname, port }, size: 3 + address.size };
}

// +----+-----+-------+------+----------+----------+
// |VER | REP |  RSV  | ATYP | BND.ADDR | BND.PORT |   server to client,
// +----+-----+-------+------+----------+----------+   RFC 1928 section 6
// | 1  |  1  | X'00' |  1   | Variable |    2     |
// +----+-----+-------+------+----------+----------+

/**
 * Encodes a reply: 10 octets with an IPv4 address, 22 with an IPv6 address. The
 * default address has the former size, the minimum that clients read.
 *
 * @throws {TypeError} if the reply does not fit in one octet, or the endpoint is
 * invalid.
 *
 * @example
 * ```ts
 * import { reply, socks5 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = socks5.encodeReply({ reply: reply.REPLY.connectionRefused });
 * assertEquals(octets, Uint8Array.of(5, 5, 0, 1, 0, 0, 0, 0, 0, 0));
 * ```
 */
export function encodeReply(
  { reply, hostname = "0.0.0.0", port = 0 }: ReplyInit,
): Uint8Array {
  const head = [VERSION, octet(reply, "reply"), 0];
  return encodeAddress({ hostname, port }, head);
}

/** Stands for a bound address that is unknown. */
const UNKNOWN = "0.0.0.0";

/**
 * Decodes a reply of at most 262 octets. The bound address may be a name, which
 * is returned in canonical form. A name that is not a valid host does not make
 * the reply invalid, because few clients need the address: it is returned as
 * `0.0.0.0`, the address of servers that do not know theirs.
 *
 * @throws {ProtocolError} `"version"` or `"address-type"`, as
 * {@linkcode decodeRequest} does.
 *
 * @example
 * ```ts
 * import { socks5 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(5, 0, 0, 1, 192, 0, 2, 1, 4, 56);
 * assertEquals(socks5.decodeReply(octets)?.value, {
 *   reply: 0,
 *   hostname: "192.0.2.1",
 *   port: 1080,
 * });
 * ```
 */
export function decodeReply(octets: Uint8Array): Decoded<Reply> | undefined {
  checkVersion(octets, VERSION);
  const address = decodeAddress(octets, 3, UNKNOWN);
  if (address === undefined) return undefined;
  const { hostname, port } = address.value;
  return {
    value: { reply: octets[1], hostname, port },
    size: 3 + address.size,
  };
}
