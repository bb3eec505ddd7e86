/**
 * Between {@linkcode Conn} and Web streams, both ways.
 *
 * @module
 */

import type { Address, Conn } from "./transport.ts";
import { NetError, toNetError } from "./errors.ts";

/** A readable and a writable side, as `Deno.Conn`, `WebSocketStream` and `Duplex.toWeb()` have them. */
export interface DuplexStreams {
  /** What the peer sends. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What the peer gets. */
  readonly writable: WritableStream<Uint8Array>;
}

/**
 * The two directions of a connection as Web streams, independent of each
 * other: closing `writable` sends FIN and reading goes on; `readable` ends with
 * the peer's FIN and writing goes on. When both have ended, in whichever way,
 * or reading has failed, the socket is closed. Aborting `writable` resets the
 * connection at once, also while the peer holds a write up.
 */
export function toStreams(conn: Conn): DuplexStreams {
  let open = 2;
  const ended = () => {
    if (--open === 0) conn.close();
  };
  const broken = (error: unknown): never => {
    conn.close();
    throw error;
  };
  const readable = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = await conn.read().catch(broken);
      if (chunk) return controller.enqueue(chunk);
      controller.close();
      ended();
    },
    cancel: ended,
  }, { highWaterMark: 0 });
  const writable = new WritableStream<Uint8Array>({
    // An abort() here would be called only when the write in flight has ended.
    start: ({ signal }) => signal.addEventListener("abort", () => conn.reset()),
    write: (chunk) =>
      conn.write(chunk).catch((error) => {
        ended(); // what the peer had sent before can still be read
        throw error;
      }),
    close: () => conn.closeWrite().finally(ended),
  });
  return { readable, writable };
}

/** Whatever can be served or used as a connection. */
export type ConnSource = Conn | DuplexStreams;

/**
 * The connection that is meant.
 *
 * @throws {TypeError} when it is none.
 */
export function toConn(source: ConnSource): Conn {
  if (source && "readable" in source && !("closeWrite" in source)) {
    return fromStreams(source);
  }
  return source as Conn;
}

const NOWHERE: Address = { hostname: "0.0.0.0", port: 0 };

/**
 * A connection made of Web streams, such as a tunnel inside another protocol.
 * `localAddr` and `remoteAddr` are zeros unless they are given.
 */
export function fromStreams(
  streams: DuplexStreams,
  addresses: { readonly localAddr?: Address; readonly remoteAddr?: Address } =
    {},
): Conn {
  return new StreamConn(streams, addresses.localAddr, addresses.remoteAddr);
}

class StreamConn implements Conn {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #unread: Uint8Array[] = [];
  #finished = false;
  #closed = false;
  #interrupt: (() => void) | undefined;
  /** What a peek has read, or will have. */
  #ahead: Promise<Uint8Array | null> | undefined;

  constructor(streams: DuplexStreams, local = NOWHERE, remote = NOWHERE) {
    this.localAddr = local;
    this.remoteAddr = remote;
    this.#reader = streams.readable.getReader();
    this.#writer = streams.writable.getWriter();
    this.#reader.closed.catch(() => {});
    this.#writer.closed.catch(() => {});
  }

  async read(): Promise<Uint8Array | null> {
    const chunk = this.#unread.shift();
    if (chunk) return chunk;
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead) return ahead;
    while (true) {
      if (this.#closed) throw this.#gone();
      const { done, value } = await this.#reader.read()
        .catch((error) => this.#fail(error));
      if (this.#closed) throw this.#gone();
      if (done) return null;
      if (value.length > 0) return value;
    }
  }

  peek(): Promise<boolean> {
    if (this.#unread.length > 0) return Promise.resolve(true);
    const answer = (this.#ahead ??= this.read()).then((it) => it !== null);
    answer.catch(() => {}); // a relay may have begun meanwhile, and nobody waits any more
    return answer;
  }

  unread(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#unread.unshift(chunk);
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#closed || this.#finished) return Promise.reject(this.#gone());
    return this.#unlessClosed(this.#writer.write(chunk));
  }

  async closeWrite(): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    await this.#unlessClosed(this.#writer.close());
  }

  close(): void {
    if (this.#interrupt) return this.reset(); // somebody waits for a sink that may never take it
    if (!this.#closed && !this.#finished) this.#writer.close().catch(() => {});
    this.#end();
  }

  reset(): void {
    if (!this.#closed) this.#writer.abort(this.#gone()).catch(() => {});
    this.#end();
  }

  /** The outcome of a write, or a rejection when the connection is closed before there is one. */
  #unlessClosed(writing: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const interrupt = () => reject(this.#gone());
      this.#interrupt = interrupt;
      const over = () => this.#interrupt = undefined;
      writing.finally(over).then(resolve, (error) => {
        reject(this.#closed ? this.#gone() : toNetError(error, "reset"));
      });
    });
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#interrupt?.();
    this.#unread.length = 0;
    this.#ahead = undefined;
    this.#reader.cancel().catch(() => {});
  }

  #fail(error: unknown): never {
    throw this.#closed ? this.#gone() : toNetError(error, "reset");
  }

  #gone(): NetError {
    return new NetError("closed", "the connection is closed");
  }
}
