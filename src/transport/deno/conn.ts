/**
 * Connections and relays over sockets of Deno's own.
 *
 * @module
 */

import {
  giveBuffer,
  nextSize,
  OWNED,
  sizeOf,
  SIZES,
  takeBuffer,
} from "./buffers.ts";
import { innermost, relayByReading, RelayState, type Side } from "../relay.ts";
import type { Address, Conn, Relay, RelayOptions } from "../transport.ts";
import { closedError, type NetError, toNetError } from "../errors.ts";
import { plainAddress } from "../common/checks.ts";

/** The members of `Deno.TcpConn` that are used here. */
export interface DenoSocket {
  /** Our end. */
  readonly localAddr: Address;
  /** The peer's end. */
  readonly remoteAddr: Address;
  /** Fills the buffer as far as it can; `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes what the kernel takes. */
  write(chunk: Uint8Array): Promise<number>;
  /** Sends FIN. */
  closeWrite(): Promise<void>;
  /** Makes waiting reads and writes reject; throws when it is closed already. */
  close(): void;
  /** Turns Nagle's algorithm off, which Deno leaves on. */
  setNoDelay(noDelay: boolean): void;
  setKeepAlive(keepAlive: boolean): void;
}

/** A socket of Deno as a {@linkcode Conn}. */
export class DenoConn implements Conn {
  readonly socket: DenoSocket;
  /** Which side of its relay it is. */
  side: Side = "a";
  #relay: RelayState | undefined;
  #size = 0;
  #closed = false;
  #finSent = false;
  #unread: Uint8Array[] | undefined;
  /** What a peek has read, or will have: it cannot be called back. */
  #ahead: Promise<Uint8Array | null> | undefined;
  #local: Address | undefined;
  #remote: Address | undefined;

  constructor(socket: DenoSocket) {
    this.socket = socket;
    try {
      socket.setNoDelay(true);
    } catch {
      // macOS refuses it when the peer has gone; reading will tell.
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

  keepAlive(): void {
    if (!this.#closed) this.socket.setKeepAlive(true);
  }

  read(): Promise<Uint8Array | null> {
    const chunk = this.takeUnread();
    if (chunk) return Promise.resolve(chunk);
    return this.takeAhead() ?? this.#read(this.#size);
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
        throw this.gone(error);
      },
    );
  }

  /** What was read, in memory that the reader may keep. */
  #chunkOf(buffer: Uint8Array, length: number, size: number): Uint8Array {
    this.#size = Math.min(nextSize(size, length), OWNED);
    return size > 0 && length > buffer.length / 2
      ? buffer.subarray(0, length)
      : buffer.slice(0, length);
  }

  peek(): Promise<boolean> {
    if (this.#unread?.length) return Promise.resolve(true);
    const answer = (this.#ahead ??= this.read()).then((it) => it !== null);
    answer.catch(() => {}); // a relay may have begun meanwhile, and nobody waits any more
    return answer;
  }

  /** What a peek reads, which comes next. */
  takeAhead(): Promise<Uint8Array | null> | undefined {
    const ahead = this.#ahead;
    if (ahead) this.#ahead = undefined;
    return ahead;
  }

  unread(chunk: Uint8Array): void {
    if (chunk.length > 0) (this.#unread ??= []).push(chunk);
  }

  /** Octets that were read too far, which come first. */
  takeUnread(): Uint8Array | undefined {
    return this.#unread?.pop();
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#finSent) return Promise.reject(closedError());
    return this.socket.write(chunk).then(
      (written) => {
        if (written === chunk.length) return;
        return this.write(chunk.subarray(written));
      },
      (error) => {
        throw this.gone(error);
      },
    );
  }

  closeWrite(): Promise<void> {
    this.#finSent = true;
    return this.socket.closeWrite().catch((error) => {
      throw this.gone(error);
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

  /** Deno has no call for an RST, and its close sends FIN first: the peer sees the end of the stream. */
  reset(): void {
    this.close();
  }

  /** Makes it a side of a relay, which fails if it is closed by anybody else. */
  join(relay: RelayState, side: Side): void {
    this.#relay = relay;
    this.side = side;
    if (this.#closed) relay.fail(side, closedError());
  }

  /** Why a call failed. */
  gone(error: unknown): NetError {
    return this.#closed ? closedError() : toNetError(error);
  }
}

/** One direction of a relay; callbacks hold half as much memory as a waiting async function. */
class Pump {
  readonly #from: DenoConn;
  readonly #to: DenoConn;
  readonly #state: RelayState;
  #buffer = takeBuffer(0);
  #length = 0;

  constructor(from: DenoConn, to: DenoConn, state: RelayState) {
    this.#from = from;
    this.#to = to;
    this.#state = state;
  }

  read(): void {
    const chunk = this.#from.takeUnread();
    if (chunk) return this.#take(chunk);
    const ahead = this.#from.takeAhead();
    if (ahead) return this.#readAhead(ahead);
    this.#from.socket.read(this.#buffer).then(
      (length) => {
        if (length === null) return this.#end();
        this.#length = length;
        this.#take(this.#buffer.subarray(0, length));
      },
      (error) => this.#fail(this.#from, error),
    );
  }

  #readAhead(ahead: Promise<Uint8Array | null>): void {
    ahead.then(
      (chunk) => chunk ? this.#take(chunk) : this.#end(),
      (error) => this.#fail(this.#from, error),
    );
  }

  #take(chunk: Uint8Array): void {
    this.#state.count(this.#from.side, chunk.length);
    this.#write(chunk);
  }

  #write(chunk: Uint8Array): void {
    this.#to.socket.write(chunk).then(
      (written) => {
        if (written === chunk.length) return this.#written();
        this.#state.stirs++;
        this.#write(chunk.subarray(written));
      },
      (error) => this.#fail(this.#to, error),
    );
  }

  #written(): void {
    const size = sizeOf(this.#buffer);
    const next = nextSize(size, this.#length);
    if (next !== size) {
      giveBuffer(this.#buffer);
      this.#buffer = takeBuffer(next);
    }
    this.read();
  }

  #end(): void {
    giveBuffer(this.#buffer);
    const { side } = this.#from;
    if (this.#state.isLast(side)) return this.#state.finish(side);
    this.#to.closeWrite().then(
      () => this.#state.finish(side),
      (error) => this.#state.fail(this.#to.side, error),
    );
  }

  #fail(conn: DenoConn, error: unknown): void {
    giveBuffer(this.#buffer);
    this.#state.fail(conn.side, conn.gone(error));
  }
}

/** {@linkcode Transport.relay}. */
export function relay(
  client: Conn,
  target: Conn,
  options?: RelayOptions,
): Relay {
  const a = innermost(client);
  const b = innermost(target);
  if (!(a instanceof DenoConn && b instanceof DenoConn)) {
    return relayByReading(a, b, options);
  }
  const state = new RelayState(a, b, options);
  a.join(state, "a");
  b.join(state, "b");
  new Pump(a, b, state).read();
  new Pump(b, a, state).read();
  return state;
}
