/**
 * UDP over `Deno.listenDatagram`, which is there with `--unstable-net` only;
 * without it `node:dgram` takes its place.
 *
 * @module
 */

import { SendQueue } from "../common/send_queue.ts";
import { cut } from "../slab.ts";
import { startTimeout } from "../timeouts.ts";
import type {
  Address,
  DatagramSocket,
  ListenOptions,
  OnDatagram,
} from "../transport.ts";
import { isSendable, plainHostname } from "../common/checks.ts";
import { toNetError } from "../errors.ts";

/** The members of `Deno` that are used here. */
export interface DenoUdp {
  /** Only with `--unstable-net`: binds at once, or throws. */
  listenDatagram?(
    options: { hostname: string; port: number; transport: "udp" },
  ): DenoDatagramSocket;
}

/** The members of `Deno.DatagramConn` that are used here. */
export interface DenoDatagramSocket {
  /** Where it is bound. */
  readonly addr: unknown;
  /** The next datagram, as a part of the buffer, and where it came from; what is too long for the buffer is cut. */
  receive(buffer: Uint8Array): Promise<[Uint8Array, unknown]>;
  /** Sends to an address, which is read at once; rejects with what the system says. */
  send(
    payload: Uint8Array,
    to: { transport: "udp"; hostname: string; port: number },
  ): Promise<number>;
  /** Makes a waiting `receive` reject; throws when it is closed already. */
  close(): void;
}

const deno = (globalThis as unknown as { Deno: DenoUdp }).Deno;

/** Milliseconds until receiving is tried again after it failed. */
const RECEIVE_PAUSE = 1;
/** Octets of a buffer that takes any datagram whole. */
const WHOLE = 64 * 1024;
/** Such buffers that are made at once: so large a piece of memory is not touched until it is used, page by page. */
const BUFFERS = 16;
const MAX_SPARE = 64;
const spareWhole: Uint8Array[] = [];

function takeWhole(): Uint8Array {
  if (spareWhole.length === 0) {
    const memory = new ArrayBuffer(BUFFERS * WHOLE);
    for (let at = 0; at < memory.byteLength; at += WHOLE) {
      spareWhole.push(new Uint8Array(memory, at, WHOLE));
    }
  }
  return spareWhole.pop()!;
}

class DenoDatagrams implements DatagramSocket {
  readonly addr: Address;
  readonly #socket: DenoDatagramSocket;
  readonly #onDatagram: OnDatagram;
  readonly #overIPv6: boolean;
  readonly #buffer = takeWhole();
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
    // A socket on :: gets IPv4 too, which is not its family.
    if (plain.includes(":") === this.#overIPv6) {
      const own = cut(payload.length);
      own.set(payload);
      this.#onDatagram(own, plain, port);
    }
    this.#receive();
  };

  /** Also by an ICMP error, on Windows. */
  readonly #failed = (): void => {
    if (this.#closed) return this.#end();
    startTimeout(RECEIVE_PAUSE, this.#receive);
  };

  /** Nothing is read into the buffer any more. */
  #end(): void {
    if (spareWhole.length < MAX_SPARE) spareWhole.push(this.#buffer);
  }
}

/** `Transport.datagrams`. */
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

/** `Transport.sourceAddress`. No UDP socket of Deno's connects, so that it tells no more than the address itself does. */
export function sourceAddress(hostname: string): Promise<string> {
  const plain = plainHostname(hostname);
  const isIPv6 = plain.includes(":");
  const isLoopback = plain === "::1" || plain.startsWith("127.");
  const loopback = isIPv6 ? "::1" : "127.0.0.1";
  return Promise.resolve(isLoopback ? loopback : isIPv6 ? "::" : "0.0.0.0");
}
