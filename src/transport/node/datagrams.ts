/**
 * UDP over `node:dgram`, for Node.js, and for Deno without `--unstable-net`.
 *
 * @module
 */

import type { RemoteInfo, Socket, SocketOptions } from "node:dgram";
import { type FastSend, fastSend } from "./fast_send.ts";
import { isSendable, MAX_UNSENT, QUEUED_COST } from "../common/checks.ts";
import { SendQueue } from "../common/send_queue.ts";
import { toConnectError, toNetError } from "../errors.ts";
import { plainHostname } from "../socket.ts";
import type {
  Address,
  DatagramSocket,
  ListenOptions,
  OnDatagram,
} from "../transport.ts";

/** The option of `createSocket`, which is called for IP addresses as well. */
type Lookup = NonNullable<SocketOptions["lookup"]>;

// Both return the address itself, synchronously: the default uses a thread per datagram.

const lookup4: Lookup = (hostname, _options, callback) =>
  callback(null, hostname, 4);

const lookup6: Lookup = (hostname, _options, callback) =>
  callback(null, hostname, 6);

/** The port for {@linkcode sourceAddress}, where only the address matters. */
const ANY_PORT = 1;

function isIPv6(hostname: string): boolean {
  return hostname.includes(":");
}

let loading: Promise<typeof import("node:dgram")> | undefined;

async function makeSocket(hostname: string): Promise<Socket> {
  // Loaded lazily: most servers get no UDP request.
  const { createSocket } = await (loading ??= import("node:dgram"));
  return isIPv6(hostname)
    ? createSocket({ type: "udp6", ipv6Only: true, lookup: lookup6 })
    : createSocket({ type: "udp4", lookup: lookup4 });
}

/** A datagram that is to be sent in this turn of the event loop. */
interface Outgoing {
  readonly from: NodeDatagrams;
  readonly payload: Uint8Array;
  readonly port: number;
  readonly hostname: string;
}

/** How many datagrams are sent without waiting for more. */
const BATCH = 64;
let batch: Outgoing[] = [];

/**
 * Sends datagrams together that were received together: the receiver wakes up less often,
 * which makes a relay a sixth cheaper.
 */
function sendSoon(outgoing: Outgoing): void {
  if (batch.length === 0) setImmediate(sendBatch);
  batch.push(outgoing);
  if (batch.length >= BATCH) sendBatch();
}

function sendBatch(): void {
  const outgoing = batch;
  batch = [];
  for (const { from, payload, port, hostname } of outgoing) {
    from.sendNow(payload, port, hostname);
  }
}

class NodeDatagrams implements DatagramSocket {
  readonly addr: Address;
  readonly #socket: Socket;
  readonly #overIPv6: boolean;
  /** Set on Deno, whose sockets have no `getSendQueueSize()`. */
  readonly #queue: SendQueue | undefined;
  readonly #sendFast: FastSend | undefined;
  #closed = false;

  constructor(socket: Socket, onDatagram: OnDatagram) {
    const { address, port } = socket.address();
    this.addr = { hostname: address, port };
    this.#overIPv6 = isIPv6(address);
    this.#socket = socket;
    const countsUnsent: boolean = "getSendQueueSize" in socket;
    if (countsUnsent) {
      enlarge(socket);
      this.#sendFast = fastSend(socket, this.#overIPv6);
    } else {
      this.#queue = new SendQueue((payload, hostname, port, done) => {
        socket.send(payload, port, hostname, done);
      });
    }
    socket.on("message", (payload: Buffer, from: RemoteInfo) => {
      if (this.#closed) return;
      onDatagram(owned(payload), from.address, from.port);
    });
  }

  send(payload: Uint8Array, hostname: string, port: number): void {
    const plain = plainHostname(hostname);
    if (this.#closed) return;
    if (!isSendable(payload, plain, port, this.#overIPv6)) return;
    if (this.#queue) return this.#queue.send(payload, plain, port);
    sendSoon({ from: this, payload, port, hostname: plain });
  }

  close(): void {
    if (this.#closed) return;
    sendBatch();
    this.#closed = true;
    if (this.#queue) this.#queue.close(() => this.#socket.close());
    else this.#socket.close();
  }

  /** Sends without waiting for more datagrams; drops the datagram if the queue is full. */
  sendNow(payload: Uint8Array, port: number, hostname: string): void {
    const socket = this.#socket;
    const count = socket.getSendQueueCount();
    if (count > 0 && this.#isFull(count, payload.length)) return;
    if (this.#sendFast) this.#sendFast(payload, port, hostname);
    else socket.send(payload, port, hostname); // without a callback, errors are ignored
  }

  /** Whether the queue has no room for this many bytes more. */
  #isFull(count: number, length: number): boolean {
    const unsent = this.#socket.getSendQueueSize() + count * QUEUED_COST;
    return unsent + length > MAX_UNSENT;
  }
}

/** How many bytes the kernel buffers while the event loop is busy: five times the default. */
const RECEIVE_BUFFER = 1024 * 1024;

/**
 * Enlarges the receive buffer. Linux reduces a value that is too large, other systems
 * refuse it. Not to be used on Deno, which applies the value to the length of a datagram.
 */
function enlarge(socket: Socket): void {
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER);
  } catch {
    // The system's default is used.
  }
}

/** Returns a payload as plain bytes that keep no other memory alive, unlike those of Deno. */
function owned(payload: Buffer): Uint8Array {
  const { buffer, byteOffset, length } = payload;
  return buffer.byteLength === length
    ? new Uint8Array(buffer, byteOffset, length)
    : new Uint8Array(payload);
}

/** Implements {@linkcode Transport.datagrams}. */
export async function datagrams(
  options: ListenOptions,
  onDatagram: OnDatagram,
): Promise<DatagramSocket> {
  const address = plainHostname(options.hostname);
  const { port } = options;
  const socket = await makeSocket(address);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on("error", reject); // later errors are those of a datagram
      socket.bind({ address, port, exclusive: true }, resolve);
    });
    return new NodeDatagrams(socket, onDatagram);
  } catch (error) {
    socket.close();
    throw toNetError(error);
  }
}

/**
 * Implements {@linkcode Transport.sourceAddress} on Node.js, by connecting a UDP socket,
 * which looks up the route and sends nothing. On Deno it would not show the address.
 */
export async function sourceAddress(hostname: string): Promise<string> {
  const plain = plainHostname(hostname);
  const socket = await makeSocket(plain);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on("error", reject);
      const done = (error?: Error) => error ? reject(error) : resolve();
      socket.connect(ANY_PORT, plain, done as () => void);
    });
    return plainHostname(socket.address().address);
  } catch (error) {
    throw toConnectError(error);
  } finally {
    socket.close();
  }
}
