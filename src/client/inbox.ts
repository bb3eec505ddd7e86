/**
 * Datagrams from a relay: checked, unwrapped and reassembled.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import {
  type Datagram,
  type DatagramWrapper,
  decodeDatagram,
  Reassembler,
} from "../protocol/datagram.ts";
import type { Clock } from "../transport/clock.ts";
import type { Timeout } from "../transport/timeouts.ts";
import type { Address } from "../transport/transport.ts";
import { DatagramQueue, type ReceivedDatagram } from "./datagram_queue.ts";

/**
 * How long to wait for the next fragment, in milliseconds; RFC 1928 section 7
 * requires 5 seconds or more.
 */
const REASSEMBLY_TIME = 10_000;

/**
 * Stands for a source whose name is not a valid host; some relays send an empty name
 * when they do not know the source.
 */
const UNKNOWN_SOURCE = "0.0.0.0";

/** Receives datagrams from one relay. */
export class Inbox {
  /** How many datagrams were not delivered. */
  dropped = 0;
  #relay: Address | undefined;
  #wrapper: DatagramWrapper | undefined;
  readonly #queue: DatagramQueue;
  readonly #fragments = new Reassembler();
  readonly #clock: Clock;
  #reassemblyTimeout: Timeout | undefined;

  /** `limit` as in {@linkcode DatagramQueue}. */
  constructor(limit: number, clock: Clock) {
    this.#queue = new DatagramQueue(limit);
    this.#clock = clock;
  }

  /** Accepts datagrams of this relay from now on, and of no other sender. */
  acceptFrom(relay: Address, wrapper?: DatagramWrapper): void {
    this.#relay = relay;
    this.#wrapper = wrapper;
  }

  /** Takes a datagram that has arrived at the socket. */
  readonly receive = (
    bytes: Uint8Array,
    hostname: string,
    port: number,
  ): void => {
    const isRelay = port === this.#relay?.port &&
      hostname === this.#relay.hostname;
    const datagram = isRelay ? this.#decode(bytes) : undefined;
    if (!datagram) {
      this.dropped++;
      return;
    }
    const whole = this.#fragments.add(datagram);
    this.#watchFragments();
    if (!whole) return;
    const { payload } = whole;
    this.#push(whole === datagram ? new Uint8Array(payload) : payload, whole);
  };

  #decode(bytes: Uint8Array): Datagram | undefined {
    if (!this.#wrapper) return decodeDatagram(bytes, UNKNOWN_SOURCE);
    const plain = unwrap(this.#wrapper, bytes);
    return plain && decodeDatagram(plain, UNKNOWN_SOURCE);
  }

  #push(payload: Uint8Array, { hostname, port }: Endpoint): void {
    if (!this.#queue.push([payload, { hostname, port }])) this.dropped++;
  }

  /** Each fragment restarts the time limit. */
  #watchFragments(): void {
    this.#reassemblyTimeout?.cancel();
    this.#reassemblyTimeout = this.#fragments.waiting
      ? this.#clock.startTimeout(
        REASSEMBLY_TIME,
        () => this.#fragments.reset(),
      )
      : undefined;
  }

  /** As in {@linkcode DatagramQueue}. */
  next(): Promise<IteratorResult<ReceivedDatagram, undefined>> {
    return this.#queue.next();
  }

  /** Accepts no more datagrams; the queued ones can still be taken. */
  end(error?: unknown): void {
    this.#fragments.reset();
    this.#watchFragments();
    this.#queue.end(error);
  }

  /** Drops the queued datagrams. */
  clear(): void {
    this.#queue.clear();
  }
}

/** An error of a wrapper must not end the process: anyone can send a datagram. */
function unwrap(
  wrapper: DatagramWrapper,
  bytes: Uint8Array,
): Uint8Array | undefined {
  try {
    return wrapper.unwrap(bytes);
  } catch {
    return undefined;
  }
}
