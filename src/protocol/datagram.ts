/**
 * UDP datagrams between a client and its relay (RFC 1928 section 7).
 *
 * @module
 */

import { encodeBehind, type Endpoint, formatIp } from "./address.ts";
import { canonicalAscii, parseHost } from "./hostname.ts";
import { decodePort, octet } from "./octets.ts";

/** Octets that one UDP datagram over IPv4 can carry, header of RFC 1928 section 7 included. */
export const MAX_DATAGRAM = 65_507;

/** One datagram: towards the relay its target, from the relay its source, and what it carries. */
export interface Datagram extends Endpoint {
  /** FRAG: 0 for a datagram of its own, else the position from 1 to 127, plus 0x80 in the last one. */
  readonly fragment: number;
  /** 0 to 65,507 less the header's octets. Decoded, it shares memory with the input. */
  readonly payload: Uint8Array;
}

/** What {@linkcode encodeDatagram} takes. */
export interface DatagramInit extends Endpoint {
  /** FRAG as in {@linkcode Datagram}. @default {0} */
  readonly fragment?: number;
  /** 0 to {@linkcode maxPayload} octets. */
  readonly payload: Uint8Array;
}

const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

/** In FRAG: no fragment follows. */
const LAST = 0x80;

// +----+------+------+----------+----------+----------+
// |RSV | FRAG | ATYP | DST.ADDR | DST.PORT |   DATA   |   RFC 1928 section 7,
// +----+------+------+----------+----------+----------+   both directions
// | 2  |  1   |  1   | Variable |    2     | Variable |
// +----+------+------+----------+----------+----------+

/**
 * A datagram's octets up to its payload: 10 for an IPv4 address, 22 for an IPv6
 * address, 7 and the octets of the name for a name.
 *
 * @throws {TypeError} when the hostname is neither a name nor an IP address, the
 * port is out of range, or the fragment is not 0 to 255 or is 0x80, the end of
 * a sequence without a position in it.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   encodeDatagramHeader({ hostname: "192.0.2.1", port: 53 }),
 *   Uint8Array.of(0, 0, 0, 1, 192, 0, 2, 1, 0, 53),
 * );
 * ```
 */
export function encodeDatagramHeader(
  endpoint: Endpoint,
  fragment = 0,
): Uint8Array {
  if (fragment === LAST) throw new TypeError("fragment 0x80 has no position");
  return encodeBehind([0, 0, octet(fragment, "fragment")], endpoint);
}

/**
 * A whole datagram; ATYP 1 or 4 for an IP address, 3 for a name.
 *
 * @throws {TypeError} when it would be longer than {@linkcode MAX_DATAGRAM}, and
 * as {@linkcode encodeDatagramHeader} does.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const octets = encodeDatagram({
 *   hostname: "a.example",
 *   port: 53,
 *   payload: Uint8Array.of(0xff),
 * });
 * assertEquals(octets.length, 7 + "a.example".length + 1);
 * ```
 */
export function encodeDatagram(
  { hostname, port, payload, fragment }: DatagramInit,
): Uint8Array {
  const header = encodeDatagramHeader({ hostname, port }, fragment);
  const size = header.length + payload.length;
  if (size > MAX_DATAGRAM) {
    throw new TypeError(
      `datagram of ${size} octets is longer than ${MAX_DATAGRAM} octets`,
    );
  }
  const octets = new Uint8Array(size);
  octets.set(header);
  octets.set(payload, header.length);
  return octets;
}

/**
 * What a whole datagram says, or `undefined` when it is malformed: an
 * incomplete header, an unknown ATYP, a name that is no host, or FRAG 0x80.
 * Never throws: anyone can send a datagram.
 *
 * RSV is ignored; an ATYP 3 is what `canonicalHostname` of `address.ts` makes of
 * it: perhaps an IP address, else a name in lower case without a trailing dot.
 * The payload shares memory with `octets`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(0, 0, 0, 1, 192, 0, 2, 1, 0, 53, 0xff);
 * assertEquals(decodeDatagram(octets), {
 *   hostname: "192.0.2.1",
 *   port: 53,
 *   fragment: 0,
 *   payload: Uint8Array.of(0xff),
 * });
 * assertEquals(decodeDatagram(octets.subarray(0, 9)), undefined);
 * ```
 */
export function decodeDatagram(octets: Uint8Array): Datagram | undefined {
  const end = hostEnd(octets);
  if (end === undefined || octets.length < end + 2) return undefined;
  const fragment = octets[2];
  const hostname = hostIn(octets, end);
  if (hostname === undefined || fragment === LAST) return undefined;
  const port = decodePort(octets, end);
  return { hostname, port, fragment, payload: octets.subarray(end + 2) };
}

/** Where the port begins, which may be behind the last octet. */
function hostEnd(octets: Uint8Array): number | undefined {
  switch (octets[3]) {
    case IPV4:
      return 8;
    case IPV6:
      return 20;
    case NAME: // without a length octet, NaN
      return 5 + octets[4];
  }
}

/** Not `decodeAddress`: its errors, with their stack traces, would cost a flood's victim dearly. */
function hostIn(octets: Uint8Array, end: number): string | undefined {
  if (octets[3] !== NAME) return formatIp(octets.subarray(4, end));
  return canonicalAscii(String.fromCharCode(...octets.subarray(5, end)));
}

/**
 * The most octets that a datagram to or from this host can carry: {@linkcode
 * MAX_DATAGRAM} less the header, which has 10 octets for an IPv4 address, 22
 * for an IPv6 address (RFC 1928 section 7 says 20 by mistake), and for a name 7
 * and its octets, at most 262.
 *
 * @throws {TypeError} when the hostname is neither a name nor an IP address.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(maxPayload("192.0.2.1"), 65_497);
 * assertEquals(maxPayload("2001:db8::1"), 65_485);
 * assertEquals(maxPayload("a.example"), 65_491);
 * ```
 */
export function maxPayload(hostname: string): number {
  const ip = parseHost(hostname);
  const host = ip === undefined ? 1 + hostname.length : ip.length;
  return MAX_DATAGRAM - (4 + host + 2);
}

/**
 * The reassembly queue of RFC 1928 section 7: puts the fragments of one
 * direction of an association together again.
 *
 * It has no timer. The owner starts one of 5 seconds or more when a sequence
 * begins and calls {@linkcode Reassembler.reset} when it expires.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new Reassembler();
 * const target = { hostname: "192.0.2.1", port: 53 };
 * const a = { ...target, fragment: 0x01, payload: Uint8Array.of(0xaa) };
 * const b = { ...target, fragment: 0x82, payload: Uint8Array.of(0xbb) };
 *
 * assertEquals(queue.add(a), undefined);
 * assertEquals(queue.waiting, true);
 * assertEquals(queue.add(b), {
 *   ...target,
 *   fragment: 0,
 *   payload: Uint8Array.of(0xaa, 0xbb),
 * });
 * assertEquals(queue.waiting, false);
 * ```
 */
export class Reassembler {
  #endpoint: Endpoint | undefined;
  #payloads: Uint8Array[] = [];
  #size = 0;

  /** Whether a sequence has begun and not ended. */
  get waiting(): boolean {
    return this.#payloads.length > 0;
  }

  /**
   * Takes the next datagram; returns the one to deliver, if there is any.
   *
   * FRAG 0 is delivered as it is and abandons what is in the queue. Fragments
   * are delivered as one datagram with FRAG 0 when the last one has come, each
   * having followed the one before: a position that is not the next one, or
   * another endpoint, abandons the sequence, and only position 1 begins another.
   * So does a payload of more than {@linkcode MAX_DATAGRAM} octets in total.
   *
   * What is kept and what was put together shares no memory with the fragments.
   */
  add(datagram: Datagram): Datagram | undefined {
    const { fragment, payload } = datagram;
    if (fragment === 0) return this.#alone(datagram);
    const position = fragment & ~LAST;
    if (!this.#continues(datagram, position)) this.reset();
    const fits = this.#size + payload.length <= MAX_DATAGRAM;
    if (!fits || position !== this.#payloads.length + 1) {
      this.reset();
      return undefined;
    }
    this.#keep(datagram);
    return fragment === position ? undefined : this.#joined(datagram);
  }

  /** Abandons the fragments that have come. */
  reset(): void {
    this.#endpoint = undefined;
    this.#payloads = [];
    this.#size = 0;
  }

  #alone(datagram: Datagram): Datagram {
    if (this.waiting) this.reset();
    return datagram;
  }

  /** Whether it is the next fragment of the sequence that has begun. */
  #continues({ hostname, port }: Datagram, position: number): boolean {
    return position === this.#payloads.length + 1 &&
      hostname === this.#endpoint?.hostname && port === this.#endpoint.port;
  }

  #keep({ hostname, port, payload }: Datagram): void {
    this.#endpoint ??= { hostname, port };
    this.#payloads.push(new Uint8Array(payload)); // slice() of a Buffer does not copy
    this.#size += payload.length;
  }

  #joined({ hostname, port }: Datagram): Datagram {
    const payload = new Uint8Array(this.#size);
    let at = 0;
    for (const part of this.#payloads) {
      payload.set(part, at);
      at += part.length;
    }
    this.reset();
    return { hostname, port, fragment: 0, payload };
  }
}

/**
 * Turns datagrams into protected ones and back: what an authentication method
 * that wraps the connection does to UDP (RFC 1928 section 7, RFC 1961 section 5).
 */
export interface DatagramWrapper {
  /** By how many octets a wrapped datagram can be longer than the plain one. */
  readonly overhead: number;
  /** The wrapped form of a whole SOCKS datagram, header included. Must not throw. */
  wrap(datagram: Uint8Array): Uint8Array;
  /** The SOCKS datagram inside; `undefined` when it is not the peer's, or came before. */
  unwrap(datagram: Uint8Array): Uint8Array | undefined;
}
