/**
 * UDP over `node:dgram`: for Node.js, and for Deno where it shows no UDP of its
 * own (`--unstable-net`).
 *
 * @module
 */

import type { RemoteInfo, Socket, SocketOptions } from "node:dgram";
import { type FastSend, fastSend } from "./fast_send.ts";
import { SendQueue } from "../common/send_queue.ts";
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

/** What `createSocket` asks for the address of an address. */
type Lookup = NonNullable<SocketOptions["lookup"]>;

// Both answer at once with what they are asked for: the default is a thread's work, per datagram.

const lookup4: Lookup = (hostname, _options, callback) =>
  callback(null, hostname, 4);

const lookup6: Lookup = (hostname, _options, callback) =>
  callback(null, hostname, 6);

/** To connect a UDP socket sends nothing, but looks for the way. */
const ANY_PORT = 1;

function isIPv6(hostname: string): boolean {
  return hostname.includes(":");
}

let loading: Promise<typeof import("node:dgram")> | undefined;

async function makeSocket(hostname: string): Promise<Socket> {
  // Only now: it is part of the runtime, and most servers do without it for long.
  const { createSocket } = await (loading ??= import("node:dgram"));
  return isIPv6(hostname)
    ? createSocket({ type: "udp6", ipv6Only: true, lookup: lookup6 })
    : createSocket({ type: "udp4", lookup: lookup4 });
}

/** A datagram that this turn of the event loop is to send. */
interface Outgoing {
  readonly from: NodeDatagrams;
  readonly payload: Uint8Array;
  readonly port: number;
  readonly hostname: string;
}

/** So many are sent without waiting for more. */
const BATCH = 64;
let batch: Outgoing[] = [];

/** Sends together what was received together: whom it wakes has more to do then, which makes a relay a sixth cheaper. */
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
  /** For Deno, whose sockets have no `getSendQueueSize()`. */
  readonly #queue: SendQueue | undefined;
  readonly #sendFast: FastSend | undefined;
  #closed = false;

  constructor(socket: Socket, onDatagram: OnDatagram) {
    const { address, port } = socket.address();
    this.addr = { hostname: address, port };
    this.#overIPv6 = isIPv6(address);
    this.#socket = socket;
    const counts: boolean = "getSendQueueSize" in socket;
    if (counts) {
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

  /** Sends without waiting for others, unless too much waits for the kernel. */
  sendNow(payload: Uint8Array, port: number, hostname: string): void {
    const socket = this.#socket;
    const count = socket.getSendQueueCount();
    if (count > 0 && this.#isFull(count, payload.length)) return;
    if (this.#sendFast) this.#sendFast(payload, port, hostname);
    else socket.send(payload, port, hostname); // without a callback nobody is told of what fails
  }

  /** Whether what waits, and this many octets more, are too many. */
  #isFull(count: number, length: number): boolean {
    const unsent = this.#socket.getSendQueueSize() + count * WAITING_COST;
    return unsent + length > MAX_UNSENT;
  }

  close(): void {
    if (this.#closed) return;
    sendBatch();
    this.#closed = true;
    if (this.#queue) this.#queue.close(() => this.#socket.close());
    else this.#socket.close();
  }
}

/** Octets that the kernel keeps for a busy event loop: five times the usual. */
const RECEIVE_BUFFER = 1024 * 1024;

/** Linux cuts what is too large, others refuse it. Not for Deno, which takes this for the length of a datagram. */
function enlarge(socket: Socket): void {
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER);
  } catch {
    // what the system gave has to do
  }
}

/** The octets as a plain array, in memory of their own: Deno leaves them in 64 KiB. */
function owned(payload: Buffer): Uint8Array {
  const { buffer, byteOffset, length } = payload;
  return buffer.byteLength === length
    ? new Uint8Array(buffer, byteOffset, length)
    : new Uint8Array(payload);
}

/** {@linkcode Transport.datagrams}. */
export async function datagrams(
  options: ListenOptions,
  onDatagram: OnDatagram,
): Promise<DatagramSocket> {
  const address = plainHostname(options.hostname);
  const { port } = options;
  const socket = await makeSocket(address);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on("error", reject); // later ones are of a datagram
      socket.bind({ address, port, exclusive: true }, resolve);
    });
    return new NodeDatagrams(socket, onDatagram);
  } catch (error) {
    socket.close();
    throw toNetError(error);
  }
}

/** {@linkcode Transport.sourceAddress} on Node.js; Deno's `node:dgram` only pretends to connect. */
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
