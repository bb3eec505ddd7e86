/**
 * Connections over streams of Node.js, on every runtime.
 *
 * @module
 */

import { closedError, NetError, notBytes, toStreamError } from "./errors.ts";
import { KEEP_ALIVE_AFTER, NO_ADDRESS, plainAddress } from "./socket.ts";
import type { Address, Conn } from "./transport.ts";

/**
 * The members of `stream.Duplex` from `node:stream` that are used here. All streams that
 * inherit from it have them: `net.Socket`, `tls.TLSSocket`, the channels of SSH
 * libraries. The optional ones are those of `net.Socket`.
 */
export interface NodeDuplex {
  /** Whether the stream has been destroyed. */
  readonly destroyed: boolean;
  /** The error that has destroyed the stream. */
  readonly errored?: Error | null;
  /** How many bytes can be read at once. */
  readonly readableLength: number;
  /** Whether everything up to the end was read. */
  readonly readableEnded: boolean;
  /** Whether `end()` was called. */
  readonly writableEnded: boolean;
  /** Whether everything up to the end was written. */
  readonly writableFinished: boolean;
  /** How many bytes are queued for writing. */
  readonly writableLength: number;
  /** Whether writing may go on after the end of reading; set by {@linkcode toConn}. */
  allowHalfOpen?: boolean;
  /** The local IP address. */
  readonly localAddress?: string;
  /** The local port. */
  readonly localPort?: number;
  /** The remote IP address. */
  readonly remoteAddress?: string;
  /** The remote port. */
  readonly remotePort?: number;
  /** Adds a listener. */
  on(
    event: "close" | "end" | "error" | "readable",
    listener: (error: Error) => void,
  ): unknown;
  /** Returns the buffered bytes, or `null`. With 0, it only makes the stream continue reading. */
  read(size?: number): unknown;
  /** Writes; the callback is called when the bytes are accepted. */
  write(
    chunk: Uint8Array,
    callback: (error?: Error | null) => void,
  ): boolean;
  /** Ends writing; the callback is called when everything is written. */
  end(callback?: (error?: Error | null) => void): unknown;
  /** Closes both directions. */
  destroy(error?: Error): unknown;
  /** Closes both directions and sends RST. */
  resetAndDestroy?(): unknown;
  /** Configures TCP keepalive. */
  setKeepAlive?(enable: boolean, initialDelay: number): unknown;
}

/** A stream of Node.js as a {@linkcode Conn}. */
export class DuplexConn implements Conn {
  readonly #stream: NodeDuplex;
  readonly #unread: Uint8Array[] = [];
  /** Reject the pending writes, whose callbacks a destroyed stream may never call. */
  readonly #interrupts = new Set<() => void>();
  #error: Error | undefined;
  #closed = false;
  /** Whether the stream was destroyed before its end; Bun reports an end then all the same. */
  #isCut: boolean;
  #changed: Promise<void> | undefined;
  #onChange: (() => void) | undefined;
  #local: Address | undefined;
  #remote: Address | undefined;

  constructor(stream: NodeDuplex) {
    this.#stream = stream;
    this.#isCut = stream.destroyed && !stream.readableEnded;
    if (stream.allowHalfOpen === false) stream.allowHalfOpen = true;
    stream.on("readable", () => this.#change());
    stream.on("end", () => this.#change());
    stream.on("close", () => this.#interrupt());
    stream.on("error", (error) => {
      this.#error ??= error;
      this.#interrupt();
    });
    aroundDestroy(
      stream,
      () => this.#isCut ||= !stream.readableEnded,
      () => this.#interrupt(),
    );
  }

  get localAddr(): Address {
    const { localAddress, localPort } = this.#stream;
    if (localAddress) this.#local ??= plainAddress(localAddress, localPort);
    return this.#local ?? NO_ADDRESS;
  }

  get remoteAddr(): Address {
    const { remoteAddress, remotePort } = this.#stream;
    if (remoteAddress) this.#remote ??= plainAddress(remoteAddress, remotePort);
    return this.#remote ?? NO_ADDRESS;
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.#closed) throw closedError();
      const chunk = this.#unread.pop() ?? toBytes(this.#stream.read());
      if (chunk && chunk.length > 0) return chunk;
      if (!chunk && this.#hasEnded()) return null;
      if (!chunk) await this.#nextChange();
    }
  }

  unread(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#unread.push(chunk);
  }

  peek(): Promise<boolean> {
    const answer = this.#peek();
    answer.catch(() => {}); // a relay may have started meanwhile, and nothing awaits it
    return answer;
  }

  async #peek(): Promise<boolean> {
    for (;;) {
      if (this.#closed) throw closedError();
      if (this.#unread.length > 0 || this.#stream.readableLength > 0) {
        return true;
      }
      this.#stream.read(0); // the end is not reported before a read
      if (this.#hasEnded()) return false;
      await this.#nextChange();
    }
  }

  /** Whether the peer has sent FIN; throws if the stream has failed. */
  #hasEnded(): boolean {
    const { readableEnded, destroyed } = this.#stream;
    if (readableEnded && !this.#isCut) return true;
    if (destroyed || this.#error) throw this.#why();
    return false;
  }

  write(chunk: Uint8Array): Promise<void> {
    const { destroyed, writableEnded } = this.#stream;
    if (destroyed || writableEnded) return Promise.reject(this.#why());
    if (chunk.length === 0) return Promise.resolve(); // some streams send an empty message
    return this.#call((done) => this.#stream.write(chunk, done));
  }

  closeWrite(): Promise<void> {
    const { destroyed, writableFinished } = this.#stream;
    if (writableFinished) return Promise.resolve();
    if (destroyed) return Promise.reject(this.#why());
    return this.#call((done) => this.#stream.end(done));
  }

  close(): void {
    const stream = this.#stream;
    const isBlocked = this.#interrupts.size > 0;
    if (!this.#end()) return;
    if (!isBlocked && !stream.writableEnded) stream.end();
    stream.destroy();
  }

  reset(): void {
    if (!this.#end()) return;
    try {
      if (this.#isSendingFin()) this.#stream.destroy();
      else if (this.#stream.resetAndDestroy) this.#stream.resetAndDestroy();
      else this.#stream.destroy(new NetError("reset", "reset by this process"));
    } catch {
      this.#stream.destroy(); // resetAndDestroy() throws for TLS and for Unix sockets
    }
  }

  keepAlive(): void {
    this.#stream.setKeepAlive?.(true, KEEP_ALIVE_AFTER);
  }

  /** How many bytes the stream has not written yet; see {@linkcode RelayState}. */
  get unsent(): number {
    return this.#stream.writableLength;
  }

  /** Node.js cannot reset a socket whose FIN is on its way, and would leak its descriptor. */
  #isSendingFin(): boolean {
    const { writableEnded, writableFinished, writableLength } = this.#stream;
    return writableEnded && writableLength === 0 && !writableFinished;
  }

  /** Ends all calls; returns whether the stream has to be closed. */
  #end(): boolean {
    this.#closed = true;
    this.#unread.length = 0;
    this.#interrupt();
    return !this.#stream.destroyed;
  }

  /** Settles by the callback that `start` gets, or rejects when the stream is closed. */
  #call(
    start: (done: (error?: Error | null) => void) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const interrupt = () => reject(this.#why());
      this.#interrupts.add(interrupt);
      const done = (error?: Error | null) => {
        this.#interrupts.delete(interrupt);
        if (error) reject(this.#why(error));
        else resolve();
      };
      try {
        start(done);
      } catch (error) {
        done(error as Error); // Node.js passes on errors of the stream's own methods
      }
    });
  }

  /** Rejects the pending writes, because nothing more is written. */
  #interrupt(): void {
    for (const interrupt of this.#interrupts) interrupt();
    this.#interrupts.clear();
    this.#change();
  }

  /** Resolves when there may be bytes to read, or when the stream has ended. */
  #nextChange(): Promise<void> {
    return this.#changed ??= new Promise((resolve) => this.#onChange = resolve);
  }

  #change(): void {
    const onChange = this.#onChange;
    this.#changed = this.#onChange = undefined;
    onChange?.();
  }

  /** Why a call failed. */
  #why(error?: Error): NetError {
    if (this.#closed) return closedError();
    const { destroyed, errored, readableEnded, writableEnded } = this.#stream;
    const cause = this.#error ?? errored ?? error;
    if (cause) return toStreamError(cause);
    const isOver = writableEnded && (readableEnded || !destroyed);
    if (isOver) return closedError();
    return new NetError("reset", "the stream was destroyed");
  }
}

/**
 * Makes a stream call `onDestroy` before it is destroyed, and `onDestroyed` when it has been
 * destroyed without an error. With the option `emitClose: false` it emits no event then.
 */
function aroundDestroy(
  stream: NodeDuplex,
  onDestroy: () => void,
  onDestroyed: () => void,
): void {
  const { destroy } = stream;
  const destroyAndReport = (...args: [error?: Error]) => {
    onDestroy();
    const result = Reflect.apply(destroy, stream, args);
    if (!args[0]) onDestroyed(); // otherwise the error event follows
    return result;
  };
  stream.destroy = destroyAndReport;
}

/** Returns a chunk as a plain `Uint8Array` whose memory is not shared. */
export function toBytes(chunk: unknown): Uint8Array | null {
  if (chunk === null) return null;
  if (!(chunk instanceof Uint8Array)) {
    throw notBytes();
  }
  const { buffer, byteOffset, length } = chunk;
  return buffer.byteLength === length
    ? new Uint8Array(buffer, byteOffset, length)
    : new Uint8Array(chunk);
}
