/**
 * Connections over the sockets of Bun.
 *
 * Bun delivers each read as a new chunk, and does not buffer bytes that the kernel has not
 * accepted. Each connection therefore has two queues of its own: received chunks that have
 * not been read, and chunks that have not been sent.
 *
 * @module
 */

import { ReadQueue } from "../common/read_queue.ts";
import { closedError, type NetError, peerGone, toNetError } from "../errors.ts";
import type { Sink } from "../relay.ts";
import { KEEP_ALIVE_AFTER, plainAddress } from "../socket.ts";
import type { Address, Conn } from "../transport.ts";

/** The callbacks of a listener or a connection. */
export interface BunHandlers {
  binaryType: "uint8array";
  open?(socket: BunSocket): void;
  /** A connection attempt has failed. If this callback is set, its promise needs no handler. */
  connectError?(socket: Pick<BunSocket, "data">, error: Error): void;
  data(socket: BunSocket, chunk: Uint8Array): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  close(socket: BunSocket, error?: Error): void;
}

/** The members of a TCP socket of Bun that are used here. */
export interface BunSocket {
  data: unknown;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Returns the number of bytes that the kernel has accepted, or -1 if the peer is gone. */
  write(chunk: Uint8Array): number;
  pause(): void;
  resume(): void;
  setKeepAlive(on: boolean, afterMs: number): void;
  /** Sends FIN. */
  shutdown(): void;
  /** Closes both directions. */
  end(): void;
  /** Closes both directions and sends RST. */
  terminate(): void;
  /** Replaces the callbacks. */
  reload(options: { socket: BunHandlers }): void;
}

const DONE = Promise.resolve();
/** Chunks of at least this many bytes are freed explicitly; see {@linkcode release}. */
const LARGE = 16 * 1024;

interface Writer {
  resolve(): void;
  reject(error: NetError): void;
}

/** A socket of Bun as a {@linkcode Conn}. */
export class BunConn implements Conn {
  socket!: BunSocket;
  readonly queue = new ReadQueue();
  /** Called once, when the connection attempt has succeeded or failed. */
  onOpen: ((error?: Error) => void) | undefined;
  /** Called each time the kernel has accepted everything that was queued. */
  onSent: (() => void) | undefined;
  /**
   * Chunks that the kernel has not accepted yet. Later bytes must not overtake them.
   * `undefined` while there are none, as {@linkcode #writers} is.
   */
  #unsent: Uint8Array[] | undefined;
  #writers: Writer[] | undefined;
  #sink: Sink | undefined;
  #error: NetError | undefined;
  /** Whether FIN was asked for; it comes after the unsent bytes. */
  #isEnding = false;
  #finSent = false;
  #closed = false;
  #local: Address | undefined;
  #remote: Address | undefined;

  /**
   * Whether a relay may use the socket of this connection directly. It must not bypass a
   * `Proxy` object, which may change methods; `instanceof` would not detect one.
   */
  static isNative(conn: Conn): conn is BunConn {
    return #closed in conn;
  }

  /** Pass `remote` if it is known: reading it from the socket takes a system call per member. */
  constructor(remote?: Address) {
    this.#remote = remote;
  }

  /** Uses this socket from now on. Its callbacks are {@linkcode HANDLERS}. */
  attach(socket: BunSocket): void {
    this.socket = socket;
    socket.data = this;
  }

  get localAddr(): Address {
    const { socket } = this;
    return this.#local ??= plainAddress(socket.localAddress, socket.localPort);
  }

  get remoteAddr(): Address {
    const { socket } = this;
    return this.#remote ??= plainAddress(
      socket.remoteAddress,
      socket.remotePort,
    );
  }

  read(): Promise<Uint8Array | null> {
    const wasFull = this.queue.full;
    const chunk = this.queue.read();
    if (wasFull && !this.queue.full) this.socket.resume();
    return chunk;
  }

  unread(chunk: Uint8Array): void {
    this.queue.unshift(chunk);
  }

  peek(): Promise<boolean> {
    return this.queue.peek();
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#closed || this.#isEnding) return Promise.reject(this.#why());
    const rest = this.#writeNow(chunk);
    if (rest) this.#keep(rest);
    return this.#flushed();
  }

  closeWrite(): Promise<void> {
    if (this.#finSent) return DONE;
    this.#isEnding = true;
    return this.#unsent
      ? this.#flushed().then(() => this.#sendFin())
      : this.#sendFin();
  }

  close(): void {
    this.queue.close();
    if (!this.#closed) this.socket.end();
  }

  reset(): void {
    this.queue.close();
    if (!this.#closed) this.socket.terminate();
  }

  keepAlive(): void {
    if (!this.#closed) this.socket.setKeepAlive(true, KEEP_ALIVE_AFTER);
  }

  /** How many bytes the kernel has not accepted yet. */
  get unsent(): number {
    return this.#unsent?.reduce((sum, { length }) => sum + length, 0) ?? 0;
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
    if (this.#hasFailed) return sink.fail(this.#error);
    if (queue.ending === null) return sink.end();
    if (more) socket.resume();
    else socket.pause();
  }

  /**
   * Writes without a promise. Bytes that have to be queued are copied; then it returns
   * `false`, and {@linkcode onSent} is called when they are sent.
   */
  send(chunk: Uint8Array): boolean {
    const rest = this.#writeNow(chunk);
    if (rest) this.#keep(rest.slice());
    return !rest;
  }

  /** Called with a chunk that Bun has read. */
  receive(chunk: Uint8Array): void {
    if (this.#sink) {
      if (!this.#sink.take(chunk)) this.socket.pause();
      return release(chunk);
    }
    this.queue.push(chunk);
    if (this.queue.full) this.socket.pause();
  }

  /** Called when the kernel may accept more bytes. */
  drain(): void {
    const unsent = this.#unsent;
    if (!unsent || this.#hasFailed) return;
    while (unsent.length > 0) {
      const chunk = unsent[0];
      const taken = this.#write(chunk);
      if (taken < chunk.length) {
        unsent[0] = chunk.subarray(taken);
        return;
      }
      unsent.shift();
    }
    this.#unsent = undefined;
    this.#settle((it) => it.resolve());
    this.onSent?.();
  }

  /** Called when the peer has sent FIN. */
  ended(): void {
    if (this.queue.ending !== undefined) return;
    this.queue.end(null);
    this.#sink?.end();
  }

  /** Called when either side has closed the socket. */
  closed(error?: Error): void {
    this.#closed = true;
    if (error) return this.#fail(toNetError(error));
    if (this.queue.closed) return this.#fail(); // by this process
    if (!this.#finSent) return this.#fail(peerGone());
    this.ended(); // after our own FIN, Bun reports the peer's in this way
  }

  /** Writes what the kernel accepts, and returns the rest. */
  #writeNow(chunk: Uint8Array): Uint8Array | undefined {
    const taken = this.#unsent ? 0 : this.#write(chunk);
    return taken < chunk.length ? chunk.subarray(taken) : undefined;
  }

  #write(chunk: Uint8Array): number {
    const taken = this.socket.write(chunk);
    if (taken >= 0) return taken;
    // The kernel reports a reset only once, and has reported it to this write: Bun will
    // report it as a FIN.
    this.#fail(peerGone());
    return 0;
  }

  #keep(rest: Uint8Array): void {
    (this.#unsent ??= []).push(rest);
  }

  #sendFin(): Promise<void> {
    if (this.#finSent) return DONE;
    if (this.#closed || this.#error) return Promise.reject(this.#why());
    this.#finSent = true;
    this.socket.shutdown();
    return DONE;
  }

  /** Resolves when the kernel has accepted everything that was written. */
  #flushed(): Promise<void> {
    if (this.#hasFailed) return Promise.reject(this.#why());
    if (!this.#unsent) return DONE;
    return new Promise((resolve, reject) =>
      (this.#writers ??= []).push({ resolve, reject })
    );
  }

  /** Settles all pending writes. */
  #settle(settle: (writer: Writer) => void): void {
    const writers = this.#writers;
    this.#writers = undefined;
    writers?.forEach(settle);
  }

  /** Ends reading and writing; without an error if this process has closed the connection. */
  #fail(error?: NetError): void {
    if (error) {
      this.#error ??= error;
      this.queue.end(error);
    }
    if (this.#writers) this.#settle((it) => it.reject(this.#why()));
    this.#sink?.fail(error);
  }

  get #hasFailed(): boolean {
    return this.#error !== undefined || this.#closed && this.queue.closed;
  }

  /** Why a call failed. */
  #why(): NetError {
    if (this.queue.closed) return closedError();
    return this.#error ?? closedError();
  }
}

/**
 * Frees the memory of a chunk now: the next chunk then reuses memory that is still in the
 * CPU's cache, which saves a sixth of the cost of bulk transfers.
 */
function release(chunk: Uint8Array): void {
  if (chunk.length >= LARGE) (chunk.buffer as ArrayBuffer).transfer(0);
}

/** Returns the connection that a socket belongs to. */
export function connOf(socket: Pick<BunSocket, "data">): BunConn {
  return socket.data as BunConn;
}

/** The callbacks of every socket once it is open. */
export const HANDLERS: BunHandlers = {
  binaryType: "uint8array",
  data: (socket, chunk) => connOf(socket).receive(chunk),
  drain: (socket) => connOf(socket).drain(),
  end: (socket) => connOf(socket).ended(),
  close: (socket, error) => connOf(socket).closed(error),
};
