/**
 * UDP over `Bun.udpSocket`.
 *
 * @module
 */

import type {
  Address,
  DatagramSocket,
  ListenOptions,
  OnDatagram,
} from "../transport.ts";
import {
  isSendable,
  MAX_UNSENT,
  plainHostname,
  WAITING_COST,
} from "../common/checks.ts";
import { toConnectError, toNetError } from "../errors.ts";

/** The members of `Bun` that are used here. */
export interface BunUdp {
  /** Throws what the system says. */
  udpSocket(options: BunDatagramOptions): Promise<BunDatagramSocket>;
  /** Throws what the system says of the way to `connect`. */
  udpSocket(options: {
    hostname: string;
    connect: { hostname: string; port: number };
  }): Promise<{ readonly address: { address: string }; close(): void }>;
}

/** Options of {@linkcode BunUdp.udpSocket}. */
export interface BunDatagramOptions {
  hostname: string;
  port: number;
  binaryType: "uint8array";
  /** Of Bun's `node:dgram`; {@linkcode IPV6_ONLY} is one. */
  flags?: number;
  socket: BunDatagramHandlers;
}

/** What a UDP socket calls. */
export interface BunDatagramHandlers {
  data(
    socket: BunDatagramSocket,
    payload: Uint8Array,
    port: number,
    hostname: string,
    flags: { truncated: boolean },
  ): void;
  drain(socket: BunDatagramSocket): void;
  /** Bun's types show two arguments, but it gives the error alone. */
  error(): void;
}

/** A UDP socket of Bun's. */
export interface BunDatagramSocket {
  readonly address: { address: string; port: number };
  /** Returns false when it has to wait for a drain; throws what the system says. */
  send(payload: Uint8Array, port: number, hostname: string): boolean;
  /** Takes payload, port and hostname of each and returns how many have gone; throws when none has. */
  sendMany(datagrams: readonly (Uint8Array | number | string)[]): number;
  close(): void;
}

const { Bun: bun } = globalThis as unknown as { Bun: BunUdp };

/** A datagram takes three places: payload, port, hostname. */
type Batch = (Uint8Array | number | string)[];
const PLACES = 3;
/** So many datagrams are sent without waiting for more. */
const BATCH = 64;
/** For a socket on `::` that leaves IPv4 alone. */
const IPV6_ONLY = 8;

/** Sends all that one turn of the event loop has to send with one call: a tenth cheaper. */
class BunDatagrams implements DatagramSocket {
  socket!: BunDatagramSocket;
  addr!: Address;
  readonly #onDatagram: OnDatagram;
  #batch: Batch = [];
  #octets = 0;
  #full = false;
  #closed = false;
  #overIPv6 = false;

  constructor(onDatagram: OnDatagram) {
    this.#onDatagram = onDatagram;
  }

  attach(socket: BunDatagramSocket): void {
    const { address, port } = socket.address;
    this.socket = socket;
    this.addr = { hostname: address, port };
    this.#overIPv6 = address.includes(":");
  }

  send(payload: Uint8Array, hostname: string, port: number): void {
    const plain = plainHostname(hostname);
    if (this.#closed) return;
    if (!isSendable(payload, plain, port, this.#overIPv6)) return;
    if (this.#octets + payload.length > MAX_UNSENT) this.#sendBatch();
    if (this.#octets + payload.length > MAX_UNSENT) return;
    if (this.#batch.length === 0) setImmediate(this.#sendBatch);
    this.#batch.push(payload, port, plain);
    this.#octets += payload.length + WAITING_COST;
    if (this.#batch.length >= BATCH * PLACES) this.#sendBatch();
  }

  close(): void {
    if (this.#closed) return;
    this.#sendBatch();
    this.#closed = true;
    this.#batch = [];
    this.socket.close();
  }

  /** The kernel has room again, perhaps. */
  drain(): void {
    if (!this.#full) return;
    this.#full = false;
    this.#sendBatch();
  }

  receive(payload: Uint8Array, hostname: string, port: number): void {
    if (!this.#closed) this.#onDatagram(payload, hostname, port);
  }

  readonly #sendBatch = (): void => {
    if (this.#closed || this.#full) return;
    let batch = this.#batch;
    while (batch.length > 0) {
      const sent = this.#sendSome(batch);
      if (sent === 0) break;
      batch = batch.slice(sent * PLACES);
    }
    this.#full = batch.length > 0;
    this.#batch = batch;
    this.#octets = 0;
    for (let i = 0; i < batch.length; i += PLACES) {
      this.#octets += (batch[i] as Uint8Array).length + WAITING_COST;
    }
  };

  /** How many datagrams are done with; 0 when the kernel has no room. */
  #sendSome(batch: Batch): number {
    try {
      return this.socket.sendMany(batch);
    } catch {
      // The first one's fault, or only that of the ICMP error to an earlier one.
      return this.#sendFirst(batch);
    }
  }

  #sendFirst([payload, port, hostname]: Batch): number {
    try {
      const sent = this.socket.send(
        payload as Uint8Array,
        port as number,
        hostname as string,
      );
      return sent ? 1 : 0;
    } catch {
      return 1; // lost
    }
  }
}

/** `Transport.datagrams`. */
export async function datagrams(
  options: ListenOptions,
  onDatagram: OnDatagram,
): Promise<DatagramSocket> {
  const hostname = plainHostname(options.hostname);
  const socket = new BunDatagrams(onDatagram);
  try {
    socket.attach(
      await bun.udpSocket({
        hostname,
        port: options.port,
        binaryType: "uint8array",
        flags: hostname.includes(":") ? IPV6_ONLY : 0,
        socket: {
          data(_socket, payload, port, hostname, { truncated }) {
            if (!truncated) socket.receive(payload, hostname, port);
          },
          drain: () => socket.drain(),
          error: () => {},
        },
      }),
    );
    return socket;
  } catch (error) {
    throw toNetError(error);
  }
}

/** `Transport.sourceAddress`. */
export async function sourceAddress(hostname: string): Promise<string> {
  try {
    return await sourceOf(plainHostname(hostname), 1);
  } catch (error) {
    throw toConnectError(error);
  }
}

/** Connects a UDP socket, which sends nothing but looks for the way; rejects with the runtime's error. */
export async function sourceOf(
  hostname: string,
  port: number,
): Promise<string> {
  const probe = await bun.udpSocket({
    hostname: hostname.includes(":") ? "::" : "0.0.0.0",
    connect: { hostname, port },
  });
  const { address } = probe.address;
  probe.close();
  return plainHostname(address);
}
