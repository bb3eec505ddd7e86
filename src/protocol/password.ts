/**
 * The username and password sub-negotiation of SOCKS5, RFC 1929.
 *
 * @module
 */

import type { Decoded } from "./decode.ts";
import { checkVersion, copyOf, octet, toOctets } from "./octets.ts";

const VERSION = 1;

/** Who a client says it is; opaque octets, compared as such. */
export interface Login {
  /** 0 to 255 octets as they came; the RFC allows 1 to 255. */
  readonly username: Uint8Array;
  /** 0 to 255 octets as they came; the RFC allows 1 to 255. */
  readonly password: Uint8Array;
}

/** What {@linkcode encodeLogin} takes; strings are sent as UTF-8. */
export interface LoginInit {
  /** 1 to 255 octets. */
  readonly username: string | Uint8Array;
  /** 1 to 255 octets. */
  readonly password: string | Uint8Array;
}

// +----+------+----------+------+----------+
// |VER | ULEN |  UNAME   | PLEN |  PASSWD  |   client to server,
// +----+------+----------+------+----------+   RFC 1929 section 2
// | 1  |  1   | 1 to 255 |  1   | 1 to 255 |
// +----+------+----------+------+----------+

/**
 * A client's login.
 *
 * @throws {TypeError} unless both are 1 to 255 octets.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const octets = encodeLogin({ username: "me", password: "pw" });
 * assertEquals(
 *   octets,
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

function encodeField(value: string | Uint8Array, what: string): number[] {
  const octets = toOctets(value);
  if (octets.length >= 1 && octets.length <= 255) {
    return [octets.length, ...octets];
  }
  throw new TypeError(
    `${what} must have 1 to 255 octets, not ${octets.length}`,
  );
}

/**
 * Takes a login of at most 513 octets. Empty fields are no error here: the
 * answer to them is that of any wrong login.
 *
 * @throws {ProtocolError} `"version"`, at the first octet: some clients send 5.
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
 * A server's verdict: 0 for success, anything else for failure, after which the
 * server must close.
 *
 * @throws {TypeError} when the status is not one octet.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(encodeLoginStatus(0), Uint8Array.of(1, 0));
 * ```
 */
export function encodeLoginStatus(status: number): Uint8Array {
  return Uint8Array.of(VERSION, octet(status, "status"));
}

/**
 * Takes a verdict; 0 is success.
 *
 * @throws {ProtocolError} `"version"`, at the first octet: some servers send 5.
 */
export function decodeLoginStatus(
  octets: Uint8Array,
): Decoded<number> | undefined {
  checkVersion(octets, VERSION);
  if (octets.length < 2) return undefined;
  return { value: octets[1], size: 2 };
}
