/**
 * What every decoder of this folder has in common: how it says "here is the
 * message", "more octets, please" and "this will never be a message".
 *
 * @module
 */

/** A message taken from the front of some octets. */
export interface Decoded<T> {
  /** What the message says. */
  readonly value: T;
  /** How many octets of the input the message took; what follows is not its own. */
  readonly size: number;
}

/**
 * Takes one message from the front of what has arrived so far.
 *
 * TCP has no message borders, so a decoder is called again with a longer input
 * until it answers. It keeps no state, does not change its input, ignores
 * octets behind the message, and the value it returns shares no memory with
 * the input. `undefined` means that more octets are needed.
 *
 * @throws {ProtocolError} as soon as no further octet can make the input a
 * valid message within the message's bound.
 *
 * @example Read until a decoder is content
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { decodeGreeting } from "./socks5.ts";
 *
 * const decode: Decode<{ methods: Uint8Array }> = decodeGreeting;
 * assertEquals(decode(Uint8Array.of(5, 1)), undefined);
 * assertEquals(decode(Uint8Array.of(5, 1, 0, 0xee))?.size, 3);
 * ```
 */
export type Decode<T> = (octets: Uint8Array) => Decoded<T> | undefined;

/**
 * Which part of a message is wrong:
 *
 * - `"version"`: the version octet is another than the message requires
 * - `"address-type"`: ATYP is not 1, 3 or 4 (RFC 1928 section 5)
 * - `"hostname"`: a name is empty, too long, holds an octet no name may hold, or
 *   ends in a number and is no IPv4 address
 * - `"user-id"`: a SOCKS4 user id is longer than its bound
 * - `"reply"`: a SOCKS4 reply code is none of 5A to 5D
 * - `"message"`: a message of an authentication method, or one that it protects, is broken
 */
export type ProtocolErrorCode =
  | "version"
  | "address-type"
  | "hostname"
  | "user-id"
  | "reply"
  | "message";

/**
 * The other side sent octets that cannot become a valid message.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { decodeGreeting } from "./socks5.ts";
 *
 * const hello = new TextEncoder().encode("GET / HTTP/1.1\r\n");
 * const error = assertThrows(() => decodeGreeting(hello), ProtocolError);
 * assertEquals(error.code, "version");
 * ```
 */
export class ProtocolError extends Error {
  /** Always `"ProtocolError"`. */
  override readonly name: string = "ProtocolError";
  /** Which part of the message is wrong. */
  readonly code: ProtocolErrorCode;

  /** Says which part is wrong, and for people how. */
  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
