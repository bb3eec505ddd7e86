/**
 * The messages of CHAP for SOCKS5 (draft-ietf-aft-socks-chap-01), as PuTTY speaks it.
 *
 * @module
 */

import { type Decoded, ProtocolError } from "./decode.ts";
import { checkVersion, copyOf, octet } from "./octets.ts";

const VERSION = 1;

/** The longest message that is read; the draft allows 65,537 octets. */
const MAX_SIZE = 2_048;

/** The types of attributes. */
export const ATTRIBUTE = {
  /** One octet; 0 means that the login is right. */
  status: 0x00,
  /** A text for the user. */
  text: 0x01,
  /** The user name. */
  user: 0x02,
  /** The challenge of the server. */
  challenge: 0x03,
  /** The response of the client. */
  response: 0x04,
  /** The charset of texts. */
  charset: 0x05,
  /** An identifier of the challenge. */
  identifier: 0x10,
  /** The algorithms that the client offers, or the one that the server chose. */
  algorithms: 0x11,
} as const;

/** The algorithms of responses. */
export const ALGORITHM = {
  /** HMAC-MD5; its key is the secret, its data the challenge (RFC 2104). */
  hmacMd5: 0x85,
} as const;

/** One attribute of a message. */
export interface Attribute {
  /** A number of {@linkcode ATTRIBUTE}, or an unknown one. */
  readonly type: number;
  /** 0 to 255 octets. */
  readonly value: Uint8Array;
}

// +----+-------+------+-----+----------+
// |VER | NATTR | TYPE | LEN |  VALUE   |   both directions,
// +----+-------+------+-----+----------+   TYPE, LEN and VALUE occur NATTR times
// | 1  |   1   |  1   |  1  | 0 to 255 |
// +----+-------+------+-----+----------+

/**
 * Encodes a message.
 *
 * @throws {TypeError} unless there are 1 to 255 attributes, their types fit in one
 * octet, and their values have at most 255 octets.
 *
 * @example
 * ```ts
 * import { chap } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = chap.encodeMessage([
 *   { type: chap.ATTRIBUTE.status, value: Uint8Array.of(0) },
 * ]);
 * assertEquals(octets, Uint8Array.of(1, 1, 0, 1, 0));
 * ```
 */
export function encodeMessage(attributes: readonly Attribute[]): Uint8Array {
  const count = attributes.length;
  if (count < 1 || count > 255) {
    throw new TypeError(`a message has 1 to 255 attributes, not ${count}`);
  }
  return Uint8Array.of(VERSION, count, ...attributes.flatMap(encodeAttribute));
}

function encodeAttribute({ type, value }: Attribute): number[] {
  const { length } = value;
  if (length <= 255) return [octet(type, "type"), length, ...value];
  throw new TypeError(`an attribute has at most 255 octets, not ${length}`);
}

/**
 * Decodes a message of at most 2,048 octets. Unknown types are not errors, so that
 * the caller can ignore them.
 *
 * @throws {ProtocolError} `"version"` at the first octet; `"message"` if the message
 * has no attribute, or as soon as it must become longer than 2,048 octets.
 *
 * @example
 * ```ts
 * import { chap } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(1, 1, 0, 1, 0);
 * assertEquals(chap.decodeMessage(octets.subarray(0, 4)), undefined);
 * assertEquals(chap.decodeMessage(octets), {
 *   value: [{ type: chap.ATTRIBUTE.status, value: Uint8Array.of(0) }],
 *   size: 5,
 * });
 * ```
 */
export function decodeMessage(
  octets: Uint8Array,
): Decoded<Attribute[]> | undefined {
  checkVersion(octets, VERSION);
  if (octets.length < 2) return undefined;
  const count = octets[1];
  if (count === 0) throw messageError("has no attribute");
  const attributes: Attribute[] = [];
  let at = 2;
  for (let left = count - 1; left >= 0; left--) {
    if (octets.length < at + 2) return undefined;
    const end = at + 2 + octets[at + 1];
    if (end + 2 * left > MAX_SIZE) throw messageError("is too long");
    if (octets.length < end) return undefined;
    attributes.push({ type: octets[at], value: copyOf(octets, at + 2, end) });
    at = end;
  }
  return { value: attributes, size: at };
}

/**
 * Returns the value of the attribute of this type, or `undefined` if the message has
 * none.
 *
 * @throws {ProtocolError} `"message"` if the message has several.
 *
 * @example
 * ```ts
 * import { chap } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const { ATTRIBUTE, findAttribute } = chap;
 * const message = [{ type: ATTRIBUTE.status, value: Uint8Array.of(0) }];
 * assertEquals(findAttribute(message, ATTRIBUTE.status), Uint8Array.of(0));
 * assertEquals(findAttribute(message, ATTRIBUTE.user), undefined);
 * ```
 */
export function findAttribute(
  message: readonly Attribute[],
  type: number,
): Uint8Array | undefined {
  const found = message.filter((it) => it.type === type);
  if (found.length > 1) throw messageError(`has attribute ${type} twice`);
  return found[0]?.value;
}

function messageError(problem: string): ProtocolError {
  return new ProtocolError("message", `the CHAP message ${problem}`);
}
