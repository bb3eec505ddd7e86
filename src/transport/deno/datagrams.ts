/**
 * UDP over `Deno.listenDatagram`, which exists only with `--unstable-net`; without it
 * over `node:dgram`.
 *
 * @module
 */

import { addressTowards } from "./interfaces.ts";
import { isSendable } from "../common/checks.ts";
import { SendQueue } from "../common/send_queue.ts";
import { systemClock } from "../clock.ts";
import { toNetError } from "../errors.ts";
import { cut } from "../slab.ts";
import { plainHostname } from "../socket.ts";
import type {
  Address,
  DatagramSocket,
  ListenOptions,
  OnDatagram,
} from "../transport.ts";

/** The members of `Deno` that are used here. */
export interface DenoUdp {
  /** Binds synchronously, or throws. Exists only with `--unstable-net`. */
  listenDatagram?(
    options: { hostname: string; port: number; transport: "udp" },
  ): DenoDatagramSocket;
}

/** The members of `Deno.DatagramConn` that are used here. */
export interface DenoDatagramSocket {
  /** Where it is bound. */
  readonly addr: unknown;
  /**
   * Waits for the next datagram; returns the part of the buffer that it fills, and its
   * sender. Truncates datagrams that are longer than the buffer.
   */
  receive(buffer: Uint8Array): Promise<[Uint8Array, unknown]>;
  /** Sends to an address, which is read synchronously; rejects with the system's error. */
  send(
    payload: Uint8Array,
    to: { transport: "udp"; hostname: string; port: number },
  ): Promise<number>;
  /** Makes a pending `receive` reject; throws if the socket is closed already. */
  close(): void;
}

const deno = (globalThis as unknown as { Deno: DenoUdp }).Deno;

/** How long to wait after receiving has failed, in milliseconds. */
const RECEIVE_PAUSE = 1;
/** The size of a buffer that holds any datagram, in bytes. */
const BUFFER_SIZE = 64 * 1024;
/**
 * How many buffers are created at a time. The system maps the pages of such a large
 * allocation only when they are used.
 */
const BUFFERS = 16;
const MAX_SPARE = 64;
const spare: Uint8Array[] = [];

function takeBuffer(): Uint8Array {
  if (spare.length === 0) {
    const memory = new ArrayBuffer(BUFFERS * BUFFER_SIZE);
    for (let at = 0; at < memory.byteLength; at += BUFFER_SIZE) {
      spare.push(new Uint8Array(memory, at, BUFFER_SIZE));
    }
  }
  return spare.pop()!;
}

class DenoDatagrams implements DatagramSocket {
  readonly addr: Address;
  readonly #socket: DenoDatagramSocket;
  readonly #onDatagram: OnDatagram;
  readonly #overIPv6: boolean;
  readonly #buffer = takeBuffer();
  readonly #queue: SendQueue;
  #closed = false;

  constructor(socket: DenoDatagramSocket, onDatagram: OnDatagram) {
    const { hostname, port } = socket.addr as Address;
    this.addr = { hostname: plainHostname(hostname), port };
    this.#socket = socket;
    this.#onDatagram = onDatagram;
    this.#overIPv6 = this.addr.hostname.includes(":");
    const to = { transport: "udp" as const, hostname: "", port: 0 };
    this.#queue = new SendQueue((payload, hostname, port, done) => {
      to.hostname = hostname;
      to.port = port;
      socket.send(payload, to).then(done, done);
    });
    this.#receive();
  }

  send(payload: Uint8Array, hostname: string, port: number): void {
    const plain = plainHostname(hostname);
    if (this.#closed) return;
    if (!isSendable(payload, plain, port, this.#overIPv6)) return;
    this.#queue.send(payload, plain, port);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.close(() => this.#socket.close());
  }

  readonly #receive = (): void => {
    if (this.#closed) return this.#end();
    this.#socket.receive(this.#buffer).then(this.#received, this.#failed);
  };

  readonly #received = ([payload, from]: [Uint8Array, unknown]): void => {
    if (this.#closed) return this.#end();
    const { hostname, port } = from as Address;
    const plain = plainHostname(hostname);
    // A socket on :: receives IPv4 as well, which is not its family.
    if (plain.includes(":") === this.#overIPv6) {
      const own = cut(payload.length);
      own.set(payload);
      this.#onDatagram(own, plain, port);
    }
    this.#receive();
  };

  /** On Windows, receiving also fails after an ICMP error. */
  readonly #failed = (): void => {
    if (this.#closed) return this.#end();
    systemClock.startTimeout(RECEIVE_PAUSE, this.#receive);
  };

  /** Gives the buffer back when no receive uses it. */
  #end(): void {
    if (spare.length < MAX_SPARE) spare.push(this.#buffer);
  }
}

/** Implements {@linkcode Transport.datagrams}. */
export async function datagrams(
  options: ListenOptions,
  onDatagram: OnDatagram,
): Promise<DatagramSocket> {
  if (!deno.listenDatagram) {
    const { datagrams } = await import("../node/datagrams.ts");
    return datagrams(options, onDatagram);
  }
  const hostname = plainHostname(options.hostname);
  const { port } = options;
  try {
    const native = deno.listenDatagram({ hostname, port, transport: "udp" });
    return new DenoDatagrams(native, onDatagram);
  } catch (error) {
    throw toNetError(error);
  }
}

/**
 * Implements {@linkcode Transport.sourceAddress}. Deno cannot connect a UDP socket, which
 * would look up the route: only the addresses on loopback and, with the permission to
 * list the interfaces, on the networks of this machine are known.
 */
export async function sourceAddress(hostname: string): Promise<string> {
  const plain = plainHostname(hostname);
  const isIPv6 = plain.includes(":");
  if (plain === "::1") return plain;
  if (plain.startsWith("127.")) return "127.0.0.1";
  return await addressTowards(plain) ?? (isIPv6 ? "::" : "0.0.0.0");
}
