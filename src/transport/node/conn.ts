/**
 * Connections over the sockets of `node:net`.
 *
 * Sockets read into a buffer of this library (`onread`), so that Node.js does not allocate
 * 64 KiB for each read. All idle connections share one buffer; a direction of a relay has
 * a buffer of its own while it is busy.
 *
 * @module
 */

import * as net from "node:net";
import { SHARED } from "./buffers.ts";
import { process } from "./process.ts";
import { ReadQueue } from "../common/read_queue.ts";
import { closedError, NetError, toNetError } from "../errors.ts";
import type { Sink } from "../relay.ts";
import { KEEP_ALIVE_AFTER, plainAddress, resetSocket } from "../socket.ts";
import type { Address, Conn } from "../transport.ts";

/** Undocumented members. Every use also works without them. */
interface Internals {
  _handle?: {
    useUserBuffer?(buffer: Uint8Array): void;
    /** The bytes of pending writes; decreases as the kernel accepts them. */
    writeQueueSize?: number;
    getpeername?(into: Record<string, unknown>): number;
  } | null;
  /** The local address, after it was read once. */
  _sockname?: object | null;
}

function internalsOf(socket: net.Socket): Internals {
  return socket as unknown as Internals;
}

/** Whether Node.js reports resets after unread bytes. If not, each FIN takes a system call. */
const SHOWS_RESETS = Number(process.versions.node.split(".")[0]) >= 24;

const EMPTY = new Uint8Array(0);
const DONE = Promise.resolve();
const OWNER = Symbol("NodeConn");
/** A socket and the connection that it belongs to. */
type Owned = net.Socket & { [OWNER]?: NodeConn };

// One function for all sockets: closures would be half the memory of an idle connection.

function onEnd(this: Owned): void {
  this[OWNER]!.ended();
}

/** The listener for the `connect` event of a connecting socket. */
export function onConnect(this: Owned): void {
  this[OWNER]!.opened();
}

function onError(this: Owned, error: Error): void {
  this[OWNER]!.opened(error);
  this[OWNER]!.failed(toNetError(error));
}

function onClose(this: Owned): void {
  this[OWNER]!.closed();
}

/**
 * The socket's own listeners for a FIN. They do nothing for a half-open socket, and with
 * another listener beside them each connection needs an array of listeners.
 */
const END_LISTENERS = new net.Socket().listeners("end") as (() => void)[];

/** A socket of Node.js as a {@linkcode Conn}. */
export class NodeConn implements Conn {
  readonly socket: net.Socket;
  /** The buffer of the next read. */
  buffer: Buffer = SHARED;
  readonly queue = new ReadQueue();
  /** Called once, when the connection attempt has succeeded or failed. */
  onOpen: ((error?: Error) => void) | undefined;
  #sink: Sink | undefined;
  #paused = false;
  #remote: Address | undefined;

  /**
   * Whether a relay may use the socket of this connection directly. It must not bypass a
   * `Proxy` object, which may change methods; `instanceof` would not detect one.
   */
  static isNative(conn: Conn): conn is NodeConn {
    return #sink in conn;
  }

  constructor(socket: Owned, remote?: Address) {
    this.socket = socket;
    this.#remote = remote;
    socket[OWNER] = this;
    for (const it of END_LISTENERS) socket.off("end", it);
    socket.on("end", onEnd);
    socket.on("error", onError);
    socket.on("close", onClose);
  }

  get localAddr(): Address {
    const { localAddress, localPort } = this.socket;
    const internals = internalsOf(this.socket);
    if (internals._sockname) internals._sockname = null; // rarely read twice
    return plainAddress(localAddress, localPort);
  }

  get remoteAddr(): Address {
    const { socket } = this;
    return this.#remote ??= plainAddress(
      socket.remoteAddress,
      socket.remotePort,
    );
  }

  read(): Promise<Uint8Array | null> {
    const chunk = this.queue.read();
    if (this.#paused && !this.queue.full) this.resume();
    return chunk;
  }

  unread(chunk: Uint8Array): void {
    this.queue.unshift(chunk);
  }

  peek(): Promise<boolean> {
    return this.queue.peek();
  }

  write(chunk: Uint8Array): Promise<void> {
    const socket = this.socket;
    if (socket.destroyed || socket.writableEnded) {
      return Promise.reject(this.#why());
    }
    socket.write(chunk);
    return socket.writableLength > 0 || socket.errored ? this.#flushed() : DONE;
  }

  closeWrite(): Promise<void> {
    const socket = this.socket;
    return new Promise((resolve, reject) => {
      if (socket.writableFinished) return resolve();
      if (socket.destroyed) return reject(this.#why());
      socket.end((error?: Error | null) =>
        error ? reject(this.#why(error)) : resolve()
      );
    });
  }

  close(): void {
    this.queue.close();
    this.socket.destroy();
  }

  reset(): void {
    this.queue.close();
    const { socket } = this;
    if (this.#isSendingFin()) socket.destroy();
    else if (!socket.destroyed) resetSocket(socket);
  }

  keepAlive(): void {
    this.socket.setKeepAlive(true, KEEP_ALIVE_AFTER);
  }

  /** How many bytes the kernel has not accepted yet. */
  get unsent(): number {
    const { writableLength } = this.socket;
    if (writableLength === 0) return 0;
    return internalsOf(this.socket)._handle?.writeQueueSize || writableLength;
  }

  /** Called when the connection attempt has succeeded or failed. */
  opened(error?: Error): void {
    this.onOpen?.(error);
    this.onOpen = undefined;
  }

  /** Passes all unread bytes, and all that follow, to a relay. */
  drainInto(sink: Sink): void {
    this.#sink = sink;
    const { queue, socket } = this;
    let more = true;
    for (let chunk = queue.shift(); chunk; chunk = queue.shift()) {
      more = sink.take(chunk) && more;
    }
    if (queue.ending) return sink.fail(queue.ending);
    if (queue.ending === null) return sink.end();
    if (socket.destroyed) return sink.fail();
    if (more && this.#paused) this.resume();
    if (!more && !this.#paused) this.#pause();
  }

  /** Called with a chunk that was read; returns `false` to pause until {@linkcode resume}. */
  receive(chunk: Uint8Array): boolean {
    const more = this.#sink ? this.#sink.take(chunk) : this.#enqueue(chunk);
    if (!more) this.#paused = true;
    return more;
  }

  /** Continues reading after a pause. */
  resume(): void {
    this.#paused = false;
    this.socket.resume();
  }

  /** Called when the peer has sent FIN, or when Node.js reports a reset as a FIN. */
  ended(): void {
    if (this.#wasReset()) return this.#resetByPeer();
    this.queue.end(null);
    this.#sink?.end();
  }

  /** Called when the socket has failed. Node.js closes it afterwards. */
  failed(error: NetError): void {
    this.queue.end(error);
    this.#sink?.fail(error);
  }

  /** Called when either side has closed the socket. */
  closed(): void {
    const bothEnded = this.queue.ending === null && !this.queue.closed;
    if (!bothEnded) this.#sink?.fail(); // otherwise bytes may still be on their way
  }

  /**
   * Makes `buffer` the buffer of the next read. Call it only while no write uses the
   * current one, and never in a microtask after a read: Node.js sets the buffer of the
   * next read only afterwards.
   */
  useBuffer(buffer: Buffer): boolean {
    const handle = internalsOf(this.socket)._handle;
    if (!handle?.useUserBuffer) return false;
    handle.useUserBuffer(buffer);
    this.buffer = buffer;
    return true;
  }

  #enqueue(chunk: Uint8Array): boolean {
    this.queue.push(new Uint8Array(chunk));
    return !this.queue.full;
  }

  #pause(): void {
    this.#paused = true;
    this.socket.pause();
  }

  /**
   * Whether a FIN is on its way, with all bytes before it, and not yet confirmed. Node.js
   * cannot reset such a socket, and would leak its descriptor.
   */
  #isSendingFin(): boolean {
    const { writableEnded, writableLength, writableFinished } = this.socket;
    return writableEnded && writableLength === 0 && !writableFinished;
  }

  /**
   * Whether the end of the stream is a reset. Node.js 20 and 22 report a reset after
   * unread bytes as the end of the stream. A socket that has not sent its own FIN has a
   * peer address unless it was reset.
   */
  #wasReset(): boolean {
    if (SHOWS_RESETS || this.socket.writableEnded) return false;
    const handle = internalsOf(this.socket)._handle;
    return handle?.getpeername !== undefined && handle.getpeername({}) !== 0;
  }

  #resetByPeer(): void {
    this.failed(new NetError("reset", "the peer reset the connection"));
    this.socket.destroy();
  }

  /** Resolves when the kernel has accepted everything that was written. */
  #flushed(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(
        EMPTY,
        (error) => error ? reject(this.#why(error)) : resolve(),
      );
    });
  }

  /** Why a call failed. */
  #why(error?: unknown): NetError {
    if (this.queue.ending) return this.queue.ending;
    return error && !this.queue.closed ? toNetError(error) : closedError();
  }
}

/** The buffer of the next read of the connection that has read last. */
let nextBuffer: Buffer = SHARED;

function takeNextBuffer(): Buffer {
  const buffer = nextBuffer;
  nextBuffer = SHARED;
  return buffer;
}

/** Makes a socket read into the buffer of its connection. */
export const ONREAD: net.OnReadOpts = {
  buffer: takeNextBuffer, // called right after each callback
  callback(this: Owned, length: number) {
    const conn = this[OWNER]!;
    // Not the buffer that is passed as an argument: it is stale after useBuffer().
    const more = conn.receive(conn.buffer.subarray(0, length));
    nextBuffer = conn.buffer;
    return more;
  },
};
