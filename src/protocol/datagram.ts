/**
 * UDP datagrams between a client and its relay (RFC 1928 section 7).
 *
 * @module
 */

import { encodeAddress, type Endpoint, formatIp } from "./address.ts";
import { canonicalAscii, parseHost } from "./hostname.ts";
import { decodePort, octet } from "./octets.ts";

/**
 * The largest payload of a UDP datagram over IPv4, in octets. It includes the
 * header of RFC 1928 section 7.
 */
export const MAX_DATAGRAM = 65_507;

/**
 * A datagram. The endpoint is the target of one sent to the relay, and the
 * source of one received from the relay.
 */
export interface Datagram extends Endpoint {
  /**
   * FRAG: 0 for a standalone datagram, otherwise the position of the fragment, 1
   * to 127, plus 0x80 for the last one.
   */
  readonly fragment: number;
  /** 0 to {@linkcode maxPayload} octets. A decoded one shares memory with the input. */
  readonly payload: Uint8Array;
}

/** The argument of {@linkcode encodeDatagram}. */
export interface DatagramInit extends Endpoint {
  /** FRAG as in {@linkcode Datagram}. @default {0} */
  readonly fragment?: number;
  /** 0 to {@linkcode maxPayload} octets. */
  readonly payload: Uint8Array;
}

const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

/** The bit of FRAG that marks the last fragment. */
const LAST = 0x80;

// +----+------+------+----------+----------+----------+
// |RSV | FRAG | ATYP | DST.ADDR | DST.PORT |   DATA   |   RFC 1928 section 7,
// +----+------+------+----------+----------+----------+   both directions
// | 2  |  1   |  1   | Variable |    2     | Variable |
// +----+------+------+----------+----------+----------+

/**
 * Encodes the header of a datagram: 10 octets for an IPv4 address, 22 for an
 * IPv6 address, 7 plus the length of the name for a name.
 *
 * @throws {TypeError} if the hostname is neither a name nor an IP address, the
 * port is out of range, or the fragment is not 0 to 255 or is 0x80, a last
 * fragment without a position.
 *
 * @example
 * ```ts
 * import { datagram } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   datagram.encodeDatagramHeader({ hostname: "192.0.2.1", port: 53 }),
 *   Uint8Array.of(0, 0, 0, 1, 192, 0, 2, 1, 0, 53),
 * );
 * ```
 */
export function encodeDatagramHeader(
  endpoint: Endpoint,
  fragment = 0,
): Uint8Array {
  if (fragment === LAST) throw new TypeError("fragment 0x80 has no position");
  return encodeAddress(endpoint, [0, 0, octet(fragment, "fragment")]);
}

/**
 * Encodes a datagram: ATYP 1 or 4 for an IP address, 3 for a name.
 *
 * @throws {TypeError} if it would be longer than {@linkcode MAX_DATAGRAM}, or
 * for the reasons of {@linkcode encodeDatagramHeader}.
 *
 * @example
 * ```ts
 * import { datagram } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = datagram.encodeDatagram({
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
 * Decodes a datagram. Returns `undefined` if it is malformed: an incomplete
 * header, an unknown ATYP, an invalid name, or FRAG 0x80. It never throws,
 * because anyone can send a datagram.
 *
 * RSV is ignored. A name (ATYP 3) is returned in the form of
 * `address.canonicalHostname`: as an IP address if it is one in disguise,
 * otherwise in lower case without a trailing dot. If `fallback` is given, it is
 * returned in place of an invalid name, so that the payload of a datagram from an
 * unknown source is not lost. The payload shares memory with `octets`.
 *
 * @example
 * ```ts
 * import { datagram } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = Uint8Array.of(0, 0, 0, 1, 192, 0, 2, 1, 0, 53, 0xff);
 * assertEquals(datagram.decodeDatagram(octets), {
 *   hostname: "192.0.2.1",
 *   port: 53,
 *   fragment: 0,
 *   payload: Uint8Array.of(0xff),
 * });
 * assertEquals(datagram.decodeDatagram(octets.subarray(0, 9)), undefined);
 * ```
 */
export function decodeDatagram(
  octets: Uint8Array,
  fallback?: string,
): Datagram | undefined {
  const end = hostEnd(octets);
  if (end === undefined || octets.length < end + 2) return undefined;
  const fragment = octets[2];
  const hostname = hostIn(octets, end) ?? fallback;
  if (hostname === undefined || fragment === LAST) return undefined;
  const port = decodePort(octets, end);
  return { hostname, port, fragment, payload: octets.subarray(end + 2) };
}

/** The offset of the port, which may not have arrived; `undefined` if it is not known yet. */
function hostEnd(octets: Uint8Array): number | undefined {
  switch (octets[3]) {
    case IPV4:
      return 8;
    case IPV6:
      return 20;
    case NAME:
      return octets.length > 4 ? 5 + octets[4] : undefined;
  }
}

/**
 * Decodes the host without `decodeAddress`, which throws errors: their stack
 * traces would be expensive under a flood of malformed datagrams.
 */
function hostIn(octets: Uint8Array, end: number): string | undefined {
  if (octets[3] !== NAME) return formatIp(octets.subarray(4, end));
  return canonicalAscii(String.fromCharCode(...octets.subarray(5, end)));
}

/**
 * Returns the largest payload of a datagram to or from a host, in octets:
 * {@linkcode MAX_DATAGRAM} minus the header. The header has 10 octets for an
 * IPv4 address, 22 for an IPv6 address (RFC 1928 section 7 says 20 by mistake),
 * and 7 plus the length of the name for a name, at most 262.
 *
 * @throws {TypeError} if the hostname is neither a name nor an IP address.
 *
 * @example
 * ```ts
 * import { datagram } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(datagram.maxPayload("192.0.2.1"), 65_497);
 * assertEquals(datagram.maxPayload("2001:db8::1"), 65_485);
 * assertEquals(datagram.maxPayload("a.example"), 65_491);
 * ```
 */
export function maxPayload(hostname: string): number {
  const ip = parseHost(hostname);
  const host = ip === undefined ? 1 + hostname.length : ip.length;
  return MAX_DATAGRAM - (4 + host + 2);
}

/**
 * The reassembly queue of RFC 1928 section 7: reassembles the fragments of one
 * direction of an association.
 *
 * It has no timer. The owner starts one of at least 5 seconds when a sequence
 * begins and calls {@linkcode Reassembler.reset} when it expires.
 *
 * @example
 * ```ts
 * import { datagram } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new datagram.Reassembler();
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

  /** Whether a sequence is incomplete. */
  get waiting(): boolean {
    return this.#payloads.length > 0;
  }

  /**
   * Adds a datagram and returns the datagram to deliver, if any.
   *
   * A datagram with FRAG 0 is returned unchanged and discards the sequence in the
   * queue. Fragments are returned as one datagram with FRAG 0 when the last one
   * arrives in order. The sequence is discarded if a fragment has another
   * endpoint or is not the next in order, or if the total payload exceeds
   * {@linkcode MAX_DATAGRAM} octets; only position 1 begins a new one.
   *
   * Fragments are copied: a reassembled payload shares no memory with them.
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

  /** Discards the queued fragments. */
  reset(): void {
    this.#endpoint = undefined;
    this.#payloads = [];
    this.#size = 0;
  }

  #alone(datagram: Datagram): Datagram {
    if (this.waiting) this.reset();
    return datagram;
  }

  /** Whether it is the next fragment of the current sequence. */
  #continues({ hostname, port }: Datagram, position: number): boolean {
    return position === this.#payloads.length + 1 &&
      hostname === this.#endpoint?.hostname && port === this.#endpoint.port;
  }

  #keep({ hostname, port, payload }: Datagram): void {
    this.#endpoint ??= { hostname, port };
    // A copy, also of a Buffer, whose slice() does not copy.
    this.#payloads.push(new Uint8Array(payload));
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
 * Protects the datagrams of an association, for an authentication method that
 * wraps the connection (RFC 1928 section 7, RFC 1961 section 5).
 */
export interface DatagramWrapper {
  /** The maximum number of octets that wrapping adds to a datagram. */
  readonly overhead: number;
  /** Wraps a SOCKS datagram including its header. Must not throw. */
  wrap(datagram: Uint8Array): Uint8Array;
  /** Unwraps a datagram. Returns `undefined` if it is not from the peer, or is a replay. */
  unwrap(datagram: Uint8Array): Uint8Array | undefined;
}
