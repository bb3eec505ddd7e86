/**
 * The username/password sub-negotiation of SOCKS5 (RFC 1929).
 *
 * @module
 */

import type { Decoded } from "./decode.ts";
import { checkVersion, copyOf, octet, toOctets } from "./octets.ts";

const VERSION = 1;

/** The credentials of a client: opaque octets, compared without decoding. */
export interface Login {
  /** 0 to 255 octets as received; the RFC allows 1 to 255. */
  readonly username: Uint8Array;
  /** 0 to 255 octets as received; the RFC allows 1 to 255. */
  readonly password: Uint8Array;
}

/** The argument of {@linkcode encodeLogin}; strings are encoded as UTF-8. */
export interface LoginInit {
  /** 0 to 255 octets; the RFC allows 1 to 255. */
  readonly username: string | Uint8Array;
  /** 0 to 255 octets; the RFC allows 1 to 255. */
  readonly password: string | Uint8Array;
}

// +----+------+----------+------+----------+
// |VER | ULEN |  UNAME   | PLEN |  PASSWD  |   client to server,
// +----+------+----------+------+----------+   RFC 1929 section 2
// | 1  |  1   | 1 to 255 |  1   | 1 to 255 |
// +----+------+----------+------+----------+

/**
 * Encodes the login of a client. Empty fields are sent with a length of 0, as curl
 * does: some servers have users without a password.
 *
 * @throws {TypeError} if a field has more than 255 octets.
 *
 * @example
 * ```ts
 * import { password } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   password.encodeLogin({ username: "me", password: "pw" }),
 *   Uint8Array.of(1, 2, 0x6d, 0x65, 2, 0x70, 0x77),
 * );
 * ```
 */
export function encodeLogin({ username, password }: LoginInit): Uint8Array {
  return Uint8Array.of(
    VERSION,
    ...encodeField(username, "username"),
    ...encodeField(password, "password"),
  );
}

function encodeField(value: string | Uint8Array, name: string): number[] {
  const octets = toOctets(value);
  if (octets.length <= 255) return [octets.length, ...octets];
  throw new TypeError(
    `${name} must have at most 255 octets, not ${octets.length}`,
  );
}

/**
 * Decodes a login of at most 513 octets. Empty fields are not an error, so that
 * the server can answer them like any wrong login.
 *
 * @throws {ProtocolError} `"version"` at the first octet: some clients send 5.
 *
 * @example
 * ```ts
 * import { password } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(1, 2, 0x6d, 0x65, 2, 0x70, 0x77);
 * assertEquals(password.decodeLogin(octets), {
 *   value: {
 *     username: Uint8Array.of(0x6d, 0x65),
 *     password: Uint8Array.of(0x70, 0x77),
 *   },
 *   size: 7,
 * });
 * ```
 */
export function decodeLogin(octets: Uint8Array): Decoded<Login> | undefined {
  checkVersion(octets, VERSION);
  if (octets.length < 2) return undefined;
  const userEnd = 2 + octets[1];
  if (octets.length <= userEnd) return undefined;
  const size = userEnd + 1 + octets[userEnd];
  if (octets.length < size) return undefined;
  const username = copyOf(octets, 2, userEnd);
  const password = copyOf(octets, userEnd + 1, size);
  return { value: { username, password }, size };
}

// +----+--------+
// |VER | STATUS |   server to client, RFC 1929 section 2
// +----+--------+
// | 1  |   1    |
// +----+--------+

/**
 * Encodes the status that a server sends: 0 for success, any other value for
 * failure, after which the server must close the connection.
 *
 * @throws {TypeError} if the status does not fit in one octet.
 *
 * @example
 * ```ts
 * import { password } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(password.encodeLoginStatus(0), Uint8Array.of(1, 0));
 * ```
 */
export function encodeLoginStatus(status: number): Uint8Array {
  return Uint8Array.of(VERSION, octet(status, "status"));
}

/**
 * Decodes the status that a server sends; 0 is success.
 *
 * Only STATUS decides. VER is ignored, because some servers send 5 or 0 there,
 * and the octet has no other use.
 *
 * @example
 * ```ts
 * import { password } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(1, 0);
 * assertEquals(password.decodeLoginStatus(octets)?.value, 0);
 * ```
 */
export function decodeLoginStatus(
  octets: Uint8Array,
): Decoded<number> | undefined {
  if (octets.length < 2) return undefined;
  return { value: octets[1], size: 2 };
}
