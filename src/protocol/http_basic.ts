/**
 * The Basic login of HTTP (RFC 7617).
 *
 * @module
 */

import { toOctets } from "./octets.ts";
import type { Login, LoginInit } from "./password.ts";

// credentials = "Basic" 1*SP base64(user-id ":" password)     RFC 7617 section 2

/**
 * Encodes credentials: the value of `Proxy-Authorization`. Strings are encoded as UTF-8.
 *
 * @throws {TypeError} if the user name contains a colon ("a user-id containing a colon
 * character is invalid"), or either of them a control character ("MUST NOT contain any
 * control characters").
 *
 * @example
 * ```ts
 * import { httpBasic } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   httpBasic.encodeCredentials({ username: "Aladdin", password: "open sesame" }),
 *   "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
 * );
 * ```
 */
export function encodeCredentials({ username, password }: LoginInit): string {
  const name = checked(toOctets(username), "username");
  const secret = checked(toOctets(password), "password");
  if (name.includes(COLON)) {
    throw new TypeError("username must not contain a colon in HTTP");
  }
  const text = String.fromCharCode(...name, COLON, ...secret);
  return `Basic ${btoa(text)}`;
}

const COLON = 0x3a;

function checked(octets: Uint8Array, name: string): Uint8Array {
  if (octets.every((it) => it >= 0x20 && it !== 0x7f)) return octets;
  throw new TypeError(`${name} must not contain control characters in HTTP`);
}

/** The name of a scheme is case-insensitive (RFC 9110 section 11.1). */
const BASIC = /^basic +([a-z\d+/]+={0,2})$/i;
/** As in RFC 1929, so that verifiers see the same logins by each protocol. */
const MAX_FIELD = 255;

/**
 * Decodes credentials. Returns `undefined` if they are not Basic, malformed, or if one
 * of the two fields has more than 255 octets, which RFC 1929 could not carry either.
 *
 * @example
 * ```ts
 * import { httpBasic } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const login = httpBasic.decodeCredentials("basic bWU6cDp3");
 * assertEquals(login?.username, new TextEncoder().encode("me"));
 * assertEquals(login?.password, new TextEncoder().encode("p:w"));
 * assertEquals(httpBasic.decodeCredentials("Bearer bWU6cHc="), undefined);
 * ```
 */
export function decodeCredentials(value: string): Login | undefined {
  const base64 = BASIC.exec(value)?.[1];
  const octets = base64 === undefined ? undefined : fromBase64(base64);
  const colon = octets?.indexOf(COLON) ?? -1;
  if (!octets || colon < 0) return undefined;
  const username = octets.slice(0, colon);
  const password = octets.slice(colon + 1);
  const isTooLong = Math.max(username.length, password.length) > MAX_FIELD;
  return isTooLong ? undefined : { username, password };
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (it) => it.charCodeAt(0));
  } catch {
    return undefined;
  }
}
