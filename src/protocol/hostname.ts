/**
 * Names of hosts: which may be asked of a resolver, and how they travel.
 *
 * @module
 */

import { ProtocolError } from "./decode.ts";
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
 * `127.1` is a name here, so judge what the resolver answers, too.
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
 * missing. An IP address as text is that address, in canonical form.
 *
 * `end` may lie behind what has arrived (or be `Infinity`, when it is not known
 * yet): what is there is checked at once.
 *
 * @throws {ProtocolError} `"hostname"` when it is neither a name as
 * {@linkcode isHostname} defines it nor an IP address.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const octets = new TextEncoder().encode("::0001");
 * assertEquals(decodeHostname(octets, 0, 6), "::1");
 * assertEquals(decodeHostname(octets, 0, 7), undefined);
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
  const ip = parseIp(text);
  if (ip !== undefined) return formatIp(ip);
  if (isHostname(text)) return text;
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
