/**
 * The messages of GSSAPI authentication (RFC 1961): tokens of a GSS-API mechanism,
 * which the codec does not look into.
 *
 * @module
 */

import { type Decoded, ProtocolError } from "./decode.ts";
import { checkVersion, hex } from "./octets.ts";

const VERSION = 1;

/** The message types (MTYP) of RFC 1961. */
export const MESSAGE = {
  /** A token that establishes the context (section 3). */
  authentication: 1,
  /** The negotiation of the protection level (section 4). */
  protection: 2,
  /** Encapsulated data: a request, a reply, a part of the stream, or a datagram (section 5). */
  data: 3,
  /** Refuses the peer; has no length and no token (section 3.8). */
  abort: 0xff,
} as const;

/** One of the numbers in {@linkcode MESSAGE}. */
export type MessageType = typeof MESSAGE[keyof typeof MESSAGE];

/** A message. */
export interface Message {
  /** MTYP. */
  readonly type: MessageType;
  /** 0 to {@linkcode MAX_TOKEN} octets; empty for `abort`. */
  readonly token: Uint8Array;
}

/** The maximum length of a token, in octets. */
export const MAX_TOKEN = 0xffff;

/** The number of octets before a token. */
export const HEADER_SIZE = 4;

// +------+------+------+.......................+
// + ver  | mtyp | len  |       token           |   both directions,
// +------+------+------+.......................+   RFC 1961 sections 3.4, 4.3 and 5
// + 0x01 | 0x0n |  2   | up to 2^16 - 1 octets |
// +------+------+------+.......................+
//
// +------+------+
// + ver  | mtyp |   abort, RFC 1961 section 3.8
// +------+------+
// + 0x01 | 0xff |
// +------+------+

/**
 * Encodes a message.
 *
 * @throws {TypeError} if the token has more than {@linkcode MAX_TOKEN} octets, or an
 * abort has one.
 *
 * @example
 * ```ts
 * import { gssapi } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const { MESSAGE } = gssapi;
 * const token = Uint8Array.of(0x60, 0x00);
 * assertEquals(
 *   gssapi.encodeMessage({ type: MESSAGE.authentication, token }),
 *   Uint8Array.of(1, 1, 0, 2, 0x60, 0x00),
 * );
 * assertEquals(
 *   gssapi.encodeMessage({ type: MESSAGE.abort, token: new Uint8Array(0) }),
 *   Uint8Array.of(1, 0xff),
 * );
 * ```
 */
export function encodeMessage({ type, token }: Message): Uint8Array {
  const { length } = token;
  if (type === MESSAGE.abort) {
    if (length > 0) throw new TypeError("an abort has no token");
    return Uint8Array.of(VERSION, type);
  }
  const octets = new Uint8Array(HEADER_SIZE + length);
  writeHeader(octets, 0, type, length);
  octets.set(token, HEADER_SIZE);
  return octets;
}

/**
 * Writes the header of a message into `octets`, for a caller that puts the token
 * after it.
 *
 * @throws {TypeError} if `length` is more than {@linkcode MAX_TOKEN}.
 */
export function writeHeader(
  octets: Uint8Array,
  offset: number,
  type: MessageType,
  length: number,
): void {
  if (length > MAX_TOKEN) {
    throw new TypeError(
      `a token of ${length} octets is longer than ${MAX_TOKEN} octets`,
    );
  }
  octets[offset] = VERSION;
  octets[offset + 1] = type;
  octets[offset + 2] = length >> 8;
  octets[offset + 3] = length & 0xff;
}

/**
 * Decodes a message of at most 65,539 octets. The token is a copy.
 *
 * @throws {ProtocolError} `"version"` at the first octet, or `"message"` at the second
 * if the message type is unknown.
 *
 * @example
 * ```ts
 * import { gssapi } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(1, 3, 0, 2, 0x05, 0x04);
 * assertEquals(gssapi.decodeMessage(octets.subarray(0, 5)), undefined);
 * assertEquals(gssapi.decodeMessage(octets)?.value.token, octets.slice(4));
 * ```
 */
export function decodeMessage(
  octets: Uint8Array,
): Decoded<Message> | undefined {
  checkVersion(octets, VERSION);
  if (octets.length < 2) return undefined;
  const type = typeIn(octets[1]);
  if (type === MESSAGE.abort) {
    return { value: { type, token: new Uint8Array(0) }, size: 2 };
  }
  if (octets.length < HEADER_SIZE) return undefined;
  const size = HEADER_SIZE + (octets[2] << 8 | octets[3]);
  if (octets.length < size) return undefined;
  // A copy, also of a Buffer, whose slice() does not copy.
  const token = new Uint8Array(octets.subarray(HEADER_SIZE, size));
  return { value: { type, token }, size };
}

function typeIn(octet: number): MessageType {
  const isKnown = octet >= MESSAGE.authentication && octet <= MESSAGE.data ||
    octet === MESSAGE.abort;
  if (isKnown) return octet as MessageType;
  throw new ProtocolError("message", `message type is ${hex(octet)}`);
}

/**
 * Returns the size of the data message at the start of `octets`, or `undefined` if its
 * header is incomplete: the stream of a protected connection has no other messages.
 *
 * @throws {ProtocolError} `"version"` or `"message"` if it begins otherwise.
 */
export function dataMessageSize(octets: Uint8Array): number | undefined {
  checkVersion(octets, VERSION);
  if (octets.length > 1 && octets[1] !== MESSAGE.data) {
    const type = hex(octets[1]);
    throw new ProtocolError("message", `message type is ${type}, not 03`);
  }
  return octets.length < HEADER_SIZE
    ? undefined
    : HEADER_SIZE + (octets[2] << 8 | octets[3]);
}
