/**
 * Connections whose TLS starts later, after bytes in clear.
 *
 * @module
 */

import type * as net from "node:net";
import { ReadQueue } from "../common/read_queue.ts";
import { toBytes } from "../duplex_conn.ts";
import { closedError, NetError, TlsError, toNetError } from "../errors.ts";
import { plainAddress, resetSocket } from "../socket.ts";
import type { Address, Conn } from "../transport.ts";

/**
 * A connection that TLS has not started on. It can be read, but not written to: nothing is
 * answered in clear.
 */
export class ClearConn implements Conn {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  readonly #raw: net.Socket;
  readonly #queue = new ReadQueue();
  #isReading = false;

  /** Whether a connection is one of this class, and not a layer over one. */
  static isNative(conn: Conn): conn is ClearConn {
    return #raw in conn;
  }

  /** Takes over the socket, and reads from it when it is first asked for bytes. */
  constructor(raw: net.Socket) {
    this.#raw = raw;
    this.localAddr = plainAddress(raw.localAddress, raw.localPort);
    this.remoteAddr = plainAddress(raw.remoteAddress, raw.remotePort);
    raw.on("error", this.#onError);
    raw.on("close", this.#onClose);
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#queue.push(toBytes(chunk)!);
    if (this.#queue.full) this.#raw.pause();
  };

  readonly #onEnd = (): void => this.#queue.end(null);

  readonly #onError = (error: Error): void => {
    this.#queue.end(toNetError(error));
  };

  readonly #onClose = (): void => {
    this.#queue.end(new NetError("reset", "the peer is gone"));
  };

  #start(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    this.#raw.on("data", this.#onData);
    this.#raw.on("end", this.#onEnd);
  }

  read(): Promise<Uint8Array | null> {
    this.#start();
    const chunk = this.#queue.read();
    if (this.#raw.isPaused() && !this.#queue.full) this.#raw.resume();
    return chunk;
  }

  unread(chunk: Uint8Array): void {
    this.#queue.unshift(chunk);
  }

  peek(): Promise<boolean> {
    this.#start();
    return this.#queue.peek();
  }

  write(): Promise<void> {
    return Promise.reject(notSecured());
  }

  closeWrite(): Promise<void> {
    return Promise.reject(notSecured());
  }

  close(): void {
    if (this.#queue.closed) return;
    this.#queue.close();
    this.#raw.destroy();
  }

  reset(): void {
    if (this.#queue.closed) return;
    this.#queue.close();
    if (!this.#raw.destroyed) resetSocket(this.#raw);
  }

  /** Whether the peer has ended the connection, and all of its bytes have been read. */
  get isOver(): boolean {
    return this.#queue.ending === null && this.#queue.size === 0;
  }

  /**
   * Ends this connection; returns its socket, which has all unread bytes, for TLS.
   *
   * @throws {NetError} if the connection is closed, or if it has ended too early for TLS.
   */
  release(): net.Socket {
    const raw = this.#raw;
    const queue = this.#queue;
    if (queue.closed) throw closedError();
    if (queue.ending) throw queue.ending;
    if (queue.ending === null) throw cutOff();
    raw.off("error", this.#onError);
    raw.off("close", this.#onClose);
    raw.off("data", this.#onData);
    raw.off("end", this.#onEnd);
    const unread: Uint8Array[] = [];
    for (let it = queue.shift(); it; it = queue.shift()) unread.push(it);
    queue.close();
    if (this.#isReading) raw.pause();
    for (const it of unread.reverse()) raw.unshift(it);
    return raw;
  }
}

function notSecured(): NetError {
  return new NetError("invalid", "nothing can be written before TLS");
}

function cutOff(): TlsError {
  return new TlsError(
    "handshake",
    "the client has ended the connection before the TLS handshake",
  );
}
