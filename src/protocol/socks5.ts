/**
 * The messages of SOCKS5, RFC 1928 sections 3 to 6.
 *
 * @module
 */

import { decodeAddress, encodeBehind, type Endpoint } from "./address.ts";
import type { Decoded } from "./decode.ts";
import { checkVersion, copyOf, octet } from "./octets.ts";

const VERSION = 5;

/** Authentication methods (RFC 1928 section 3, IANA's registry). */
export const METHOD = {
  /** No authentication. */
  none: 0x00,
  /** GSSAPI, RFC 1961. */
  gssapi: 0x01,
  /** Username and password, RFC 1929. */
  password: 0x02,
  /** CHAP, draft-ietf-aft-socks-chap. */
  chap: 0x03,
  /** In a choice only: none of the offered methods will do. */
  unacceptable: 0xff,
} as const;

/** Commands of a request (RFC 1928 section 4). */
export const COMMAND = {
  /** Open a connection to the target. */
  connect: 1,
  /** Wait for one connection from the target. */
  bind: 2,
  /** Relay datagrams. */
  udpAssociate: 3,
} as const;

/** What a client says first. */
export interface Greeting {
  /** The offered methods as they came: 0 to 255, perhaps repeated or unknown. */
  readonly methods: Uint8Array;
}

/** What a client wants. */
export interface Request extends Endpoint {
  /** A number of {@linkcode COMMAND}, or one that nobody knows. */
  readonly command: number;
}

/** What became of a request; the endpoint is the bound address (BND). */
export interface Reply extends Endpoint {
  /** 0 for success; `REPLY` in `reply.ts` has the numbers. */
  readonly reply: number;
}

/** What {@linkcode encodeReply} takes. */
export interface ReplyInit {
  /** 0 for success; `REPLY` in `reply.ts` has the numbers. */
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
 * A client's greeting that offers `methods`.
 *
 * @throws {TypeError} unless there are 1 to 255 methods, each one octet.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
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
 * Takes a greeting of at most 257 octets. An empty list is no error here: the
 * answer to it is the choice FF.
 *
 * @throws {ProtocolError} `"version"`, at the first octet.
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
 * A server's choice of one method, or {@linkcode METHOD}`.unacceptable`.
 *
 * @throws {TypeError} when the method is not one octet.
 */
export function encodeMethodChoice(method: number): Uint8Array {
  return Uint8Array.of(VERSION, octet(method, "method"));
}

/**
 * Takes a choice. Whether the method was offered is for the caller to check.
 *
 * @throws {ProtocolError} `"version"`, at the first octet.
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
 * A client's request.
 *
 * @throws {TypeError} when the command is not one octet or the endpoint none.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const request = {
 *   command: COMMAND.connect,
 *   hostname: "example.com",
 *   port: 443,
 * };
 * const octets = encodeRequest(request);
 * assertEquals(decodeRequest(octets), { value: request, size: octets.length });
 * ```
 */
export function encodeRequest(request: Request): Uint8Array {
  const command = octet(request.command, "command");
  return encodeBehind([VERSION, command, 0], request);
}

/**
 * Takes a request of at most 262 octets, with its host in canonical form. An
 * unknown command is no error here (the answer is reply 7), nor are RSV other
 * than 0 and port 0.
 *
 * @throws {ProtocolError} `"version"` at the first octet; `"address-type"`
 * (reply 8) at ATYP; `"hostname"` (reply 4) at the first octet that tells, so
 * that the rest of the request may not have arrived.
 */
export function decodeRequest(
  octets: Uint8Array,
): Decoded<Request> | undefined {
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
 * A server's reply: 10 octets with an IPv4 bound address (and by default, the
 * least that clients read), 22 with IPv6.
 *
 * @throws {TypeError} when the reply is not one octet or the endpoint none.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const refused = encodeReply({ reply: 5 });
 * assertEquals(refused, Uint8Array.of(5, 5, 0, 1, 0, 0, 0, 0, 0, 0));
 * ```
 */
export function encodeReply(
  { reply, hostname = "0.0.0.0", port = 0 }: ReplyInit,
): Uint8Array {
  const head = [VERSION, octet(reply, "reply"), 0];
  return encodeBehind(head, { hostname, port });
}

/**
 * Takes a reply of at most 262 octets, also one whose bound address is a name
 * (in canonical form).
 *
 * @throws {ProtocolError} `"version"`, `"address-type"` or `"hostname"`, like
 * {@linkcode decodeRequest}.
 */
export function decodeReply(octets: Uint8Array): Decoded<Reply> | undefined {
  checkVersion(octets, VERSION);
  const address = decodeAddress(octets, 3);
  if (address === undefined) return undefined;
  const { hostname, port } = address.value;
  return {
    value: { reply: octets[1], hostname, port },
    size: 3 + address.size,
  };
}
