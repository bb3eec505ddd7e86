/**
 * UDP over `Bun.udpSocket`.
 *
 * @module
 */

import { isSendable, MAX_UNSENT, QUEUED_COST } from "../common/checks.ts";
import { toConnectError, toNetError } from "../errors.ts";
import { plainHostname } from "../socket.ts";
import type {
  Address,
  DatagramSocket,
  ListenOptions,
  OnDatagram,
} from "../transport.ts";

/** The members of `Bun` that are used here. */
export interface BunUdp {
  /** Binds, or throws the system's error. */
  udpSocket(options: BunDatagramOptions): Promise<BunDatagramSocket>;
  /** Connects, or throws the system's error about the route. */
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
  /** Those of Bun's `node:dgram`; {@linkcode IPV6_ONLY} is one. */
  flags?: number;
  socket: BunDatagramHandlers;
}

/** The callbacks of a UDP socket. */
export interface BunDatagramHandlers {
  data(
    socket: BunDatagramSocket,
    payload: Uint8Array,
    port: number,
    hostname: string,
    flags: { truncated: boolean },
  ): void;
  drain(socket: BunDatagramSocket): void;
  /** Bun's types show two arguments, but it passes the error alone. */
  error(): void;
}

/** The members of a UDP socket of Bun that are used here. */
export interface BunDatagramSocket {
  readonly address: { address: string; port: number };
  /** Returns `false` if it has to wait for a drain; throws the system's error. */
  send(payload: Uint8Array, port: number, hostname: string): boolean;
  /**
   * Sends datagrams, each given as payload, port and hostname. Returns how many were
   * sent; throws if none was.
   */
  sendMany(datagrams: readonly (Uint8Array | number | string)[]): number;
  close(): void;
}

const { Bun: bun } = globalThis as unknown as { Bun: BunUdp };

/** Each datagram takes three elements: payload, port, hostname. */
type Batch = (Uint8Array | number | string)[];
const ELEMENTS = 3;
/** How many datagrams are sent without waiting for more. */
const BATCH = 64;
/** The port for {@linkcode sourceOf} if only the address matters. */
const ANY_PORT = 1;
/** Makes a socket on `::` ignore IPv4. */
const IPV6_ONLY = 8;

/** Sends all datagrams of one turn of the event loop with one call, which is a tenth cheaper. */
class BunDatagrams implements DatagramSocket {
  socket!: BunDatagramSocket;
  addr!: Address;
  readonly #onDatagram: OnDatagram;
  #batch: Batch = [];
  #size = 0;
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
    if (this.#size + payload.length > MAX_UNSENT) this.#sendBatch();
    if (this.#size + payload.length > MAX_UNSENT) return;
    if (this.#batch.length === 0) setImmediate(this.#sendBatch);
    this.#batch.push(payload, port, plain);
    this.#size += payload.length + QUEUED_COST;
    if (this.#batch.length >= BATCH * ELEMENTS) this.#sendBatch();
  }

  close(): void {
    if (this.#closed) return;
    this.#sendBatch();
    this.#closed = true;
    this.#batch = [];
    this.socket.close();
  }

  /** Called when the kernel may accept more datagrams. */
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
      batch = batch.slice(sent * ELEMENTS);
    }
    this.#full = batch.length > 0;
    this.#batch = batch;
    this.#size = 0;
    for (let i = 0; i < batch.length; i += ELEMENTS) {
      this.#size += (batch[i] as Uint8Array).length + QUEUED_COST;
    }
  };

  /** Returns how many datagrams are sent or lost; 0 if the kernel accepts none. */
  #sendSome(batch: Batch): number {
    try {
      return this.socket.sendMany(batch);
    } catch {
      // Caused by the first datagram, or by an ICMP error that answers an earlier one.
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

/** Implements {@linkcode Transport.datagrams}. */
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

/** Implements {@linkcode Transport.sourceAddress}. */
export async function sourceAddress(hostname: string): Promise<string> {
  try {
    return await sourceOf(plainHostname(hostname), ANY_PORT);
  } catch (error) {
    throw toConnectError(error);
  }
}

/**
 * Connects a UDP socket, which looks up the route and sends nothing. Rejects with the
 * runtime's error.
 */
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
