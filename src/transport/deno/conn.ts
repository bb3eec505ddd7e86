/**
 * Connections over the sockets of Deno.
 *
 * A read fills a buffer of this library without a copy. The buffer stays in use until
 * bytes arrive, so its size is the memory of an idle connection.
 *
 * @module
 */

import { giveBuffer, nextSize, OWNED, SIZES, takeBuffer } from "./buffers.ts";
import { CallQueue } from "../call_queue.ts";
import { closedError, type NetError, toNetError } from "../errors.ts";
import type { RelayState, Side } from "../relay_state.ts";
import { plainAddress } from "../socket.ts";
import type { Address, Conn } from "../transport.ts";

/** One end of a socket; that of a Unix socket has neither. */
export interface DenoAddr {
  readonly transport: string;
  readonly hostname?: string;
  readonly port?: number;
}

/** The members of `Deno.TcpConn` that are used here. */
export interface DenoSocket {
  /** The local end. */
  readonly localAddr: DenoAddr;
  /** The remote end. */
  readonly remoteAddr: DenoAddr;
  /** Reads as much as is available into the buffer; `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes as much as the kernel accepts. */
  write(chunk: Uint8Array): Promise<number>;
  /** Sends FIN. */
  closeWrite(): Promise<void>;
  /** Makes pending reads and writes reject; throws if the socket is closed already. */
  close(): void;
  /** Disables Nagle's algorithm, which Deno leaves on. Not for Unix sockets. */
  setNoDelay?(noDelay: boolean): void;
  /** Enables keepalive; the time is that of the system. Not for Unix sockets. */
  setKeepAlive?(keepAlive: boolean): void;
}

/** A socket of Deno as a {@linkcode Conn}. */
export class DenoConn implements Conn {
  readonly socket: DenoSocket;
  /** Its side in its relay. */
  side: Side = "a";
  #relay: RelayState | undefined;
  #size = 0;
  #closed = false;
  #finSent = false;
  readonly #writes = new CallQueue();
  #unread: Uint8Array[] | undefined;
  /** The result of the read that a peek has started, which cannot be cancelled. */
  #ahead: Promise<Uint8Array | null> | undefined;
  #local: Address | undefined;
  #remote: Address | undefined;

  /**
   * Whether a relay may use the socket of this connection directly. It must not bypass a
   * `Proxy` object, which may change methods; `instanceof` would not detect one.
   */
  static isNative(conn: Conn): conn is DenoConn {
    return #closed in conn;
  }

  constructor(socket: DenoSocket) {
    this.socket = socket;
    try {
      socket.setNoDelay?.(true);
    } catch {
      // macOS refuses it if the peer is gone; the next read reports that.
    }
  }

  get localAddr(): Address {
    if (this.#local) return this.#local;
    const { hostname, port } = this.socket.localAddr;
    return this.#local = plainAddress(hostname, port);
  }

  get remoteAddr(): Address {
    if (this.#remote) return this.#remote;
    const { hostname, port } = this.socket.remoteAddr;
    return this.#remote = plainAddress(hostname, port);
  }

  read(): Promise<Uint8Array | null> {
    const chunk = this.takeUnread();
    if (chunk) return Promise.resolve(chunk);
    return this.takeAhead() ?? this.#read(this.#size);
  }

  unread(chunk: Uint8Array): void {
    if (chunk.length > 0) (this.#unread ??= []).push(chunk);
  }

  peek(): Promise<boolean> {
    if (this.#unread?.length) return Promise.resolve(true);
    const answer = (this.#ahead ??= this.read()).then((it) => it !== null);
    answer.catch(() => {}); // a relay may have started meanwhile, and nothing awaits it
    return answer;
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#finSent) return Promise.reject(closedError());
    return this.#writes.add(() => this.#write(chunk));
  }

  #write(chunk: Uint8Array): Promise<void> {
    return this.socket.write(chunk).then(
      (written) => {
        if (written === chunk.length) return;
        return this.#write(chunk.subarray(written));
      },
      (error) => {
        throw this.why(error);
      },
    );
  }

  closeWrite(): Promise<void> {
    this.#finSent = true;
    return this.#writes.add(() => this.socket.closeWrite()).catch((error) => {
      throw this.why(error);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unread = undefined;
    this.#ahead = undefined;
    this.socket.close();
    const relay = this.#relay;
    if (relay && !relay.ended) relay.fail(this.side, closedError());
  }

  /** Deno cannot send RST. Closing sends FIN, so the peer sees the end of the stream. */
  reset(): void {
    this.close();
  }

  keepAlive(): void {
    if (!this.#closed) this.socket.setKeepAlive?.(true);
  }

  /** Joins a relay as this side. The relay fails if the connection is closed by another caller. */
  join(relay: RelayState, side: Side): void {
    this.#relay = relay;
    this.side = side;
    if (this.#closed) relay.fail(side, closedError());
  }

  /** Returns bytes that were put back, which precede all others. */
  takeUnread(): Uint8Array | undefined {
    return this.#unread?.pop();
  }

  /** Returns the result of the read that a peek has started, which precedes further reads. */
  takeAhead(): Promise<Uint8Array | null> | undefined {
    const ahead = this.#ahead;
    if (ahead) this.#ahead = undefined;
    return ahead;
  }

  #read(size: number): Promise<Uint8Array | null> {
    const buffer = size > 0 ? new Uint8Array(SIZES[size]) : takeBuffer(0);
    return this.socket.read(buffer).then(
      (length) => {
        const chunk = length && this.#chunkOf(buffer, length, size);
        if (size === 0) giveBuffer(buffer);
        return chunk || null;
      },
      (error) => {
        if (size === 0) giveBuffer(buffer);
        throw this.why(error);
      },
    );
  }

  /** Returns the bytes that were read, in memory that the reader may keep. */
  #chunkOf(buffer: Uint8Array, length: number, size: number): Uint8Array {
    this.#size = Math.min(nextSize(size, length), OWNED);
    return size > 0 && length > buffer.length / 2
      ? buffer.subarray(0, length)
      : buffer.slice(0, length);
  }

  /** Why a call failed. */
  why(error: unknown): NetError {
    return this.#closed ? closedError() : toNetError(error);
  }
}
