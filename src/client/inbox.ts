/**
 * What arrives at an association's socket: which of it counts, put together
 * again.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { decodeDatagram, Reassembler } from "../protocol/datagram.ts";
import { startTimeout, type Timeout } from "../transport/timeouts.ts";
import type { Address } from "../transport/transport.ts";
import { DatagramQueue, type ReceivedDatagram } from "./datagram_queue.ts";

/** Milliseconds until fragments are given up of which no more come; RFC 1928 section 7 asks for 5 seconds at least. */
const REASSEMBLY_TIME = 10_000;

/** Takes datagrams from one relay. */
export class Inbox {
  /** The only one whose datagrams count. */
  relay: Address | undefined;
  /** How many did not count, or found no room. */
  dropped = 0;
  readonly #queue: DatagramQueue;
  readonly #fragments = new Reassembler();
  readonly #reassemblyTime: number;
  #giveUp: Timeout | undefined;

  /** `limit` as in {@linkcode DatagramQueue}. */
  constructor(limit: number, reassemblyTime = REASSEMBLY_TIME) {
    this.#queue = new DatagramQueue(limit);
    this.#reassemblyTime = reassemblyTime;
  }

  /** Takes what came from somewhere. */
  readonly receive = (
    octets: Uint8Array,
    hostname: string,
    port: number,
  ): void => {
    const isRelay = port === this.relay?.port &&
      hostname === this.relay.hostname;
    const datagram = isRelay ? decodeDatagram(octets) : undefined;
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

  #push(payload: Uint8Array, { hostname, port }: Endpoint): void {
    if (!this.#queue.push([payload, { hostname, port }])) this.dropped++;
  }

  /** Each fragment gives the next one its time. */
  #watchFragments(): void {
    this.#giveUp?.cancel();
    this.#giveUp = this.#fragments.waiting
      ? startTimeout(this.#reassemblyTime, () => this.#fragments.reset())
      : undefined;
  }

  /** As of {@linkcode DatagramQueue}. */
  next(): Promise<IteratorResult<ReceivedDatagram, undefined>> {
    return this.#queue.next();
  }

  /** Nothing more will come; what waits can still be had. */
  end(error?: unknown): void {
    this.#fragments.reset();
    this.#watchFragments();
    this.#queue.end(error);
  }

  /** Forgets what waits. */
  clear(): void {
    this.#queue.clear();
  }
}
