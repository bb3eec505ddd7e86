/**
 * The contract of all decoders: a complete message, too few octets, or an
 * invalid message.
 *
 * @module
 */

/** A decoded message and its size. */
export interface Decoded<T> {
  /** The decoded message. */
  readonly value: T;
  /** The length of the message in octets; the next message begins there. */
  readonly size: number;
}

/**
 * Decodes one message at the start of the octets received so far. Returns
 * `undefined` if more octets are needed.
 *
 * TCP has no message boundaries, so the caller calls a decoder again with a
 * longer input until it returns a message. A decoder keeps no state, does not
 * change its input, ignores the octets after the message, and returns a value
 * that shares no memory with the input.
 *
 * @throws {ProtocolError} as soon as no further octet can make the input a
 * valid message within the message's maximum size.
 *
 * @example Call a decoder until the message is complete
 * ```ts
 * import { type Decode, socks5 } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const decode: Decode<socks5.Greeting> = socks5.decodeGreeting;
 * assertEquals(decode(Uint8Array.of(5, 1)), undefined);
 * assertEquals(decode(Uint8Array.of(5, 1, 0, 0xee))?.size, 3);
 * ```
 */
export type Decode<T> = (octets: Uint8Array) => Decoded<T> | undefined;

/**
 * The invalid part of a message:
 *
 * - `"version"`: the version octet, or the version of HTTP, is not the one that the
 *   message requires
 * - `"address-type"`: ATYP is not 1, 3 or 4 (RFC 1928 section 5)
 * - `"hostname"`: a name is empty, too long, contains an octet that names must
 *   not contain, or ends in a number without being an IPv4 address
 * - `"user-id"`: a SOCKS4 user id is too long
 * - `"reply"`: a SOCKS4 reply code is not 5A to 5D
 * - `"message"`: a message of an authentication method, or a message that it
 *   protects, is malformed
 * - `"header"`: the header of an HTTP message is malformed
 * - `"size"`: the header of an HTTP message is too large
 */
export type ProtocolErrorCode =
  | "version"
  | "address-type"
  | "hostname"
  | "user-id"
  | "reply"
  | "message"
  | "header"
  | "size";

/**
 * The octets cannot become a valid message.
 *
 * @example
 * ```ts
 * import { ProtocolError, socks5 } from "@x/socks5/protocol";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const http = new TextEncoder().encode("GET / HTTP/1.1\r\n");
 * const error = assertThrows(() => socks5.decodeGreeting(http), ProtocolError);
 * assertEquals(error.code, "version");
 * ```
 */
export class ProtocolError extends Error {
  /** Always `"ProtocolError"`. */
  override readonly name: string = "ProtocolError";
  /** The invalid part of the message. */
  readonly code: ProtocolErrorCode;

  /** The code names the invalid part; the message is for users. */
  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
