/**
 * Sends and receives datagrams in batches, by functions of the C library for
 * which Deno has no API. Single datagrams cost the client more than the server,
 * so that the server would never have two of them to process. Linux only.
 *
 * @module
 */

import type { Endpoint } from "./socks.ts";

const symbols = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  recvmmsg: {
    parameters: ["i32", "buffer", "u32", "i32", "pointer"],
    result: "i32",
  },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/** Loads the library; returns `undefined` if it is missing or lacks a function. */
function library() {
  if (Deno.build.os !== "linux") return undefined;
  try {
    return Deno.dlopen("libc.so.6", symbols).symbols;
  } catch {
    return undefined;
  }
}

const libc = library();

/** Whether {@linkcode BatchSocket} works on this system. */
export const hasBatches = libc !== undefined;

const AF_INET = 2;
const SOCK_DGRAM_NONBLOCK = 2 | 0o4000;
const SOL_SOCKET = 1;
const [SO_SNDBUF, SO_RCVBUF] = [7, 8];
const KERNEL_BUFFER = Uint32Array.of(4 * 2 ** 20);
const MSG_DONTWAIT = 0x40;

/** The sizes of a sockaddr_in, an iovec and a mmsghdr on 64-bit systems, in octets. */
const SIZE = { name: 16, vector: 16, header: 64 };

function socketAddress({ hostname, port }: Endpoint): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(SIZE.name);
  new DataView(address.buffer).setUint16(0, AF_INET, true);
  new DataView(address.buffer).setUint16(2, port);
  address.set(hostname.split(".").map(Number), 4);
  return address;
}

function pointerTo(octets: Uint8Array<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(octets));
}

/** Buffers for `count` datagrams, in the layout of the kernel. */
class Batch {
  readonly headers: Uint8Array<ArrayBuffer>;
  readonly #headers: DataView;
  readonly #vectors: DataView;
  readonly #keep: readonly Uint8Array[];

  constructor(count: number, size: number, content?: Uint8Array) {
    const data = new Uint8Array(count * size);
    const names = new Uint8Array(count * SIZE.name);
    const vectors = new Uint8Array(count * SIZE.vector);
    this.headers = new Uint8Array(count * SIZE.header);
    this.#headers = new DataView(this.headers.buffer);
    this.#vectors = new DataView(vectors.buffer);
    this.#keep = [data, names, vectors];
    for (let i = 0; i < count; i++) {
      if (content) data.set(content, i * size);
      const at = BigInt(i);
      const vector = i * SIZE.vector;
      const header = i * SIZE.header;
      const octets = pointerTo(data) + at * BigInt(size);
      const name = pointerTo(names) + at * BigInt(SIZE.name);
      this.#vectors.setBigUint64(vector, octets, true);
      this.#vectors.setBigUint64(vector + 8, BigInt(size), true);
      // Datagrams with content are sent to the connected address.
      if (!content) this.#headers.setBigUint64(header, name, true);
      if (!content) this.#headers.setUint32(header + 8, SIZE.name, true);
      const place = pointerTo(vectors) + BigInt(vector);
      this.#headers.setBigUint64(header + 16, place, true);
      this.#headers.setBigUint64(header + 24, 1n, true);
    }
  }

  /** The length of a received datagram in octets. */
  length(index: number): number {
    return this.#headers.getUint32(index * SIZE.header + 56, true);
  }

  /** Sets the length of a datagram to send, or its maximum length to receive. */
  setLength(index: number, length: number): void {
    this.#vectors.setUint32(index * SIZE.vector + 8, length, true);
  }

  /** The size of the buffers; this use keeps memory alive that only the kernel reads. */
  get octets(): number {
    return this.#keep.reduce((sum, it) => sum + it.length, 0);
  }
}

/** A UDP socket on a free port of `127.0.0.1`. */
export class BatchSocket {
  readonly #descriptor: number;
  readonly #most: number;
  readonly #size: number;
  readonly #incoming: Batch;
  #outgoing: Batch | undefined;

  /** A batch holds at most `most` datagrams of at most `size` octets. */
  constructor(most: number, size: number) {
    this.#most = most;
    this.#size = size;
    this.#incoming = new Batch(most, size);
    this.#descriptor = libc!.socket(AF_INET, SOCK_DGRAM_NONBLOCK, 0);
    const any = socketAddress({ hostname: "127.0.0.1", port: 0 });
    if (libc!.bind(this.#descriptor, any, SIZE.name) !== 0) {
      throw new Error("no socket for datagrams");
    }
    for (const option of [SO_SNDBUF, SO_RCVBUF]) {
      const value = new Uint8Array(KERNEL_BUFFER.buffer);
      libc!.setsockopt(this.#descriptor, SOL_SOCKET, option, value, 4);
    }
  }

  get port(): number {
    const address = new Uint8Array(SIZE.name);
    const length = new Uint8Array(Uint32Array.of(SIZE.name).buffer);
    libc!.getsockname(this.#descriptor, address, length);
    return new DataView(address.buffer).getUint16(2);
  }

  /** Sets the datagram to send and its destination. */
  aim(to: Endpoint, datagram: Uint8Array): void {
    libc!.connect(this.#descriptor, socketAddress(to), SIZE.name);
    this.#outgoing = new Batch(this.#most, datagram.length, datagram);
  }

  /** Sends `count` datagrams. */
  send(count: number): void {
    const { headers } = this.#outgoing!;
    libc!.sendmmsg(this.#descriptor, headers, count, MSG_DONTWAIT);
  }

  /** Receives the pending datagrams and returns their number. */
  receive(): number {
    const { headers } = this.#incoming;
    const count = libc!.recvmmsg(
      this.#descriptor,
      headers,
      this.#most,
      MSG_DONTWAIT,
      null,
    );
    return Math.max(count, 0);
  }

  /** The length of a datagram of the last {@linkcode receive}, in octets. */
  length(index: number): number {
    return this.#incoming.length(index);
  }

  /** Echoes the pending datagrams. */
  echo(): void {
    const count = this.receive();
    if (count === 0) return;
    const { headers } = this.#incoming;
    for (let i = 0; i < count; i++) this.#incoming.setLength(i, this.length(i));
    libc!.sendmmsg(this.#descriptor, headers, count, MSG_DONTWAIT);
    for (let i = 0; i < count; i++) this.#incoming.setLength(i, this.#size);
  }

  close(): void {
    libc!.close(this.#descriptor);
  }
}
