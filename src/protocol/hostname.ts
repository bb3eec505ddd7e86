/**
 * Names of hosts: which may be asked of a resolver, what they are when every
 * spelling of a host is one, and how they travel.
 *
 * @module
 */

import { ProtocolError } from "./decode.ts";
import { endsInNumber, inetAton } from "./inet_aton.ts";
import { formatIp, parseIp } from "./ip.ts";
import { hex } from "./octets.ts";

/** The longest name in octets: what ATYP 3 can carry (RFC 1928 section 5). */
export const MAX_HOSTNAME = 255;

const LABELS = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?$/i;

/**
 * Whether `text` is a name that a resolver may be asked.
 *
 * 1 to 255 octets; labels of 1 to 63 letters, digits, `-` and `_`, parted by
 * dots; one trailing dot is allowed. Anything else (NUL, space, brackets, a
 * colon, a zone's `%`, non-ASCII) is no name: it passes a policy as one host
 * and resolves as another, or never resolves. Numbers are not excluded:
 * `127.1` may be asked, and {@linkcode canonicalHostname} says for what.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(isHostname("example.com."), true);
 * assertEquals(isHostname("example.com\0.evil"), false);
 * ```
 */
export function isHostname(text: string): boolean {
  return text.length <= MAX_HOSTNAME && LABELS.test(text);
}

/**
 * The one text for a host, however it is spelt, or `undefined` when `text` is no
 * host: so a policy that compares texts is not passed by another spelling.
 *
 * - An IP address becomes canonical; an IPv4-mapped one stays one.
 * - So does an IPv4 address in disguise, which resolvers take for one: 1 to 4
 *   parts, each decimal, octal (`017`) or hexadecimal (`0x7f`). Another name
 *   whose last label is a number is no host (WHATWG URL, "ends in a number").
 * - A name becomes lower case and loses its trailing dot.
 * - A name that is not ASCII becomes what is asked of a resolver (UTS 46, as in
 *   a URL: `münchen.example` is `xn--mnchen-3ya.example`).
 *
 * Without brackets, port, zone or wildcard.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
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

/** Names but for ASCII's rules; nothing in them ends the host of a URL. */
const NOT_ASCII = /^[\w.-]*[\u0080-\uffff][\w.\u0080-\uffff-]*$/;

/** {@linkcode canonicalHostname} of what came as octets, where only ASCII is good. */
export function canonicalAscii(text: string): string | undefined {
  const ip = parseIp(text);
  if (ip !== undefined) return formatIp(ip);
  if (!isHostname(text)) return undefined;
  const name = (text.endsWith(".") ? text.slice(0, -1) : text).toLowerCase();
  return endsInNumber(name) ? inetAton(name) : name;
}

/**
 * The octets of a host that is an IP address, `undefined` for a name.
 *
 * @throws {TypeError} when `text` is neither.
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
    `${JSON.stringify(text)} is neither a hostname nor an IP address`,
  );
}

/**
 * The host in `octets` from `start` to `end`, or `undefined` while octets are
 * missing, in the form that {@linkcode canonicalHostname} gives.
 *
 * `end` may lie behind what has arrived (or be `Infinity`, when it is not known
 * yet): what is there is checked at once.
 *
 * @throws {ProtocolError} `"hostname"` when it is no host; other octets than
 * ASCII's are none.
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
