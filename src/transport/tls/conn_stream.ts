/**
 * Connections as streams of Node.js, for TLS over them.
 *
 * @module
 */

import process from "node:process";
import { Duplex } from "node:stream";
import { closeQuietly, keepAliveQuietly, resetQuietly } from "../quiet.ts";
import type { Conn } from "../transport.ts";

type Done = (error?: Error | null) => void;

/** Bun closes the TLS socket when the stream below ends, although writing may go on. */
const endsBoth = "bun" in process.versions;

/**
 * A {@linkcode Conn} as a `Duplex`, which owns it, with the members of a `net.Socket` that
 * TLS uses.
 */
export class ConnStream extends Duplex {
  readonly #conn: Conn;
  #isReading = false;
  #isWanted = false;
  #isStopped = false;
  #onFlushed: (() => void)[] = [];
  /** Called at the end of the connection, if that is not reported by the stream. */
  onEnd: () => void = () => {};
  /** Called when reading fails, before the stream is destroyed. */
  onFailed: (error: unknown) => void = () => {};

  constructor(conn: Conn) {
    super({ allowHalfOpen: true });
    this.#conn = conn;
  }

  get localAddress(): string {
    return this.#conn.localAddr.hostname;
  }

  get localPort(): number {
    return this.#conn.localAddr.port;
  }

  get remoteAddress(): string {
    return this.#conn.remoteAddr.hostname;
  }

  get remotePort(): number {
    return this.#conn.remoteAddr.port;
  }

  override _read(): void {
    this.#isWanted = true;
    if (!this.#isReading && !this.#isStopped) this.#pull();
  }

  /** Stops reading from the connection. */
  readStop(): void {
    this.#isStopped = true;
  }

  /** Continues. */
  readStart(): void {
    this.#isStopped = false;
    if (this.#isWanted) this._read();
  }

  #pull(): void {
    this.#isReading = true;
    this.#isWanted = false;
    // Not destroy(error): not every runtime passes that on to the TLS socket.
    const end = (error: unknown) => {
      this.onFailed(error);
      this.destroy();
    };
    try {
      this.#conn.read().then((chunk) => {
        if (!chunk && endsBoth) return setImmediate(() => this.onEnd());
        this.#isReading = false;
        this.push(chunk); // calls _read() if more is wanted
        if (this.#isWanted && !this.#isReading) this._read();
      }).catch(end);
    } catch (error) {
      end(error);
    }
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.#settle(() => this.#conn.write(chunk), done);
  }

  override _final(done: Done): void {
    this.#settle(() => this.#conn.closeWrite(), done);
  }

  async #settle(call: () => Promise<void>, done: Done): Promise<void> {
    try {
      await call();
    } catch (error) {
      return done(error as Error);
    }
    done();
    if (this.writableLength === 0) this.#flushed();
  }

  #flushed(): void {
    for (const call of this.#onFlushed.splice(0)) call();
  }

  /**
   * Calls back when everything is written, or nothing more will be. Bun reports that a TLS
   * socket has written bytes before the stream below has.
   */
  whenFlushed(call: () => void): void {
    if (this.writableLength === 0 || this.destroyed) call();
    else this.#onFlushed.push(call);
  }

  override _destroy(error: Error | null, done: Done): void {
    closeQuietly(this.#conn);
    done(error);
    this.#flushed();
  }

  /** Closes both directions, and the connection by RST. */
  resetAndDestroy(): void {
    resetQuietly(this.#conn);
    this.destroy();
  }

  setKeepAlive(): void {
    keepAliveQuietly(this.#conn);
  }
}
