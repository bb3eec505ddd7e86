/**
 * Hostnames: validation, canonical form and decoding.
 *
 * @module
 */

import { quote } from "./escape.ts";
import { ProtocolError } from "./decode.ts";
import { endsInNumber, inetAton } from "./inet_aton.ts";
import { formatIp, parseIp } from "./ip.ts";
import { hex } from "./octets.ts";

/** The length of the longest name in octets, limited by ATYP 3 (RFC 1928 section 5). */
export const MAX_HOSTNAME = 255;

const LABELS = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?$/i;

/**
 * Whether `text` is a name that may be passed to a resolver.
 *
 * A name has 1 to 255 octets: labels of 1 to 63 letters, digits, `-` and `_`,
 * separated by dots, with an optional trailing dot. Anything else (NUL, space,
 * brackets, a colon, the `%` of a zone, non-ASCII) is not a name: it could pass
 * a policy as one host and resolve as another, or never resolve. Numbers are
 * not excluded: `127.1` is a name, and {@linkcode canonicalHostname} returns the
 * address that it stands for.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(address.isHostname("example.com."), true);
 * assertEquals(address.isHostname("example.com\0.evil"), false);
 * ```
 */
export function isHostname(text: string): boolean {
  return text.length <= MAX_HOSTNAME && LABELS.test(text);
}

/**
 * Returns the canonical form of a host, or `undefined` if `text` is not a host.
 * A policy that compares canonical forms cannot be evaded by another spelling.
 *
 * - An IP address is returned in canonical form; an IPv4-mapped one remains one.
 * - An IPv4 address in disguise, which resolvers accept, is returned as that
 *   address: 1 to 4 parts, each decimal, octal (`017`) or hexadecimal (`0x7f`).
 *   Any other name whose last label is a number is not a host (WHATWG URL, "ends
 *   in a number").
 * - A name is converted to lower case and loses its trailing dot.
 * - A name that is not ASCII is converted to its ASCII form (UTS 46, as in a
 *   URL: `münchen.example` is `xn--mnchen-3ya.example`).
 *
 * Brackets, ports, zones and wildcards are not accepted.
 *
 * @example
 * ```ts
 * import { address } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const { canonicalHostname } = address;
 * assertEquals(canonicalHostname("Example.COM."), "example.com");
 * assertEquals(canonicalHostname("Bücher.example"), "xn--bcher-kva.example");
 * assertEquals(canonicalHostname("0x7F.1"), "127.0.0.1");
 * assertEquals(canonicalHostname("::0001"), "::1");
 * assertEquals(canonicalHostname("1.2.3.4.5"), undefined);
 * ```
 */
export function canonicalHostname(text: string): string | undefined {
  if (!NOT_ASCII.test(text)) return canonicalAscii(text);
  try {
    return canonicalAscii(new URL(`http://${text}`).hostname);
  } catch {
    return undefined;
  }
}

/**
 * Converts a non-ASCII name to its canonical form, if it has one, because messages
 * can carry only ASCII. Returns any other text unchanged: names that users write are
 * sent as written.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(asciiHostname("Bücher.example"), "xn--bcher-kva.example");
 * assertEquals(asciiHostname("Example.COM."), "Example.COM.");
 * assertEquals(asciiHostname("ü..b"), "ü..b");
 * ```
 */
export function asciiHostname(text: string): string {
  return NOT_ASCII.test(text) ? canonicalHostname(text) ?? text : text;
}

/** Names with non-ASCII characters; no character in them ends the host of a URL. */
const NOT_ASCII = /^[\w.-]*[\u0080-\uffff][\w.\u0080-\uffff-]*$/;

/** {@linkcode canonicalHostname} for text that was decoded from octets: only ASCII is valid. */
export function canonicalAscii(text: string): string | undefined {
  const ip = parseIp(text);
  if (ip !== undefined) return formatIp(ip);
  if (!isHostname(text)) return undefined;
  const name = (text.endsWith(".") ? text.slice(0, -1) : text).toLowerCase();
  return endsInNumber(name) ? inetAton(name) : name;
}

/**
 * Returns the octets of an IP address, or `undefined` for a name.
 *
 * @throws {TypeError} if `text` is neither.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(parseHost("10.0.0.1"), Uint8Array.of(10, 0, 0, 1));
 * assertEquals(parseHost("example.com"), undefined);
 * assertThrows(() => parseHost("[::1]"), TypeError);
 * ```
 */
export function parseHost(text: string): Uint8Array | undefined {
  const ip = parseIp(text);
  if (ip !== undefined || isHostname(text)) return ip;
  throw new TypeError(
    `${quote(text)} is neither a hostname nor an IP address`,
  );
}

/**
 * Decodes the host in `octets` from `start` to `end` and returns it in the form
 * of {@linkcode canonicalHostname}. Returns `undefined` if octets are missing.
 *
 * `end` may be past the end of the octets, or `Infinity` if it is not known yet:
 * the octets that have arrived are checked immediately.
 *
 * @throws {ProtocolError} `"hostname"` if it is not a host. Octets that are not
 * ASCII are invalid.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const octets = new TextEncoder().encode("Name.test.");
 * assertEquals(decodeHostname(octets, 0, 10), "name.test");
 * assertEquals(decodeHostname(octets, 0, 11), undefined);
 * ```
 */
export function decodeHostname(
  octets: Uint8Array,
  start: number,
  end: number,
): string | undefined {
  checkNameOctets(octets, start, Math.min(end, octets.length));
  if (octets.length < end) return undefined;
  const text = String.fromCharCode(...octets.subarray(start, end));
  const hostname = canonicalAscii(text);
  if (hostname !== undefined) return hostname;
  throw new ProtocolError("hostname", `"${text}" is not a hostname`);
}

function checkNameOctets(octets: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    if (isNameOctet(octets[i])) continue;
    throw new ProtocolError(
      "hostname",
      `octet ${hex(octets[i])} in a hostname`,
    );
  }
}

/** Letters, digits, `-`, `.`, `_`, and `:` for IPv6 addresses. */
function isNameOctet(octet: number): boolean {
  const lower = octet | 0x20;
  return lower >= 0x61 && lower <= 0x7a || octet >= 0x30 && octet <= 0x3a ||
    octet === 0x2d || octet === 0x2e || octet === 0x5f;
}
