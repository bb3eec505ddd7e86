/**
 * Conversion between {@linkcode Conn} and streams: Web streams both ways, other streams
 * one way.
 *
 * @module
 */

import { DuplexConn, type NodeDuplex } from "./duplex_conn.ts";
import { closedError, NetError, notBytes, toStreamError } from "./errors.ts";
import { closeQuietly, resetQuietly } from "./quiet.ts";
import { type BufferReader, ReaderConn } from "./reader_conn.ts";
import { NO_ADDRESS, plainAddress } from "./socket.ts";
import type { Address, Conn } from "./transport.ts";

/** A readable and a writable side, such as those of `WebSocketStream` and `Duplex.toWeb()`. */
export interface DuplexStreams {
  /** The bytes that the peer sends. */
  readonly readable: ReadableStream<Uint8Array>;
  /** The bytes for the peer. */
  readonly writable: WritableStream<Uint8Array>;
}

/**
 * Returns the two directions of a connection as Web streams, independent of each
 * other: closing `writable` sends FIN and reading goes on; `readable` ends with the
 * peer's FIN and writing goes on. The socket is closed when both have ended in any way,
 * or when reading has failed. Aborting `writable` resets the connection at once, even
 * while a write waits for the peer.
 *
 * @example
 * ```ts
 * import { fromStreams, toStreams } from "@x/socks5/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const conn = fromStreams({
 *   readable: ReadableStream.from([new TextEncoder().encode("hello")]),
 *   writable: new WritableStream(),
 * });
 * const { readable, writable } = toStreams(conn);
 * assertEquals(await new Response(readable).text(), "hello");
 * await writable.close();
 * ```
 */
export function toStreams(conn: Conn): DuplexStreams {
  let open = 2;
  const ended = () => {
    if (--open === 0) closeQuietly(conn);
  };
  const broken = (error: unknown): never => {
    closeQuietly(conn);
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
    // A sink's abort() would be called only after the write in flight has ended.
    start: ({ signal }) =>
      signal.addEventListener("abort", () => resetQuietly(conn)),
    write: (chunk) =>
      conn.write(chunk).catch((error) => {
        ended(); // data that the peer sent before can still be read
        throw error;
      }),
    close: () => conn.closeWrite().catch(unlessClosed).finally(ended),
  });
  return { readable, writable };
}

/**
 * Ignores that this process has closed the connection. Every write has settled before the
 * stream is closed, so no bytes are lost. `Duplex.fromWeb()` closes the stream by itself
 * after the end of `readable`; an error would then end the process.
 */
function unlessClosed(error: unknown): void {
  if (!(error instanceof NetError && error.kind === "closed")) throw error;
}

/** All types of connections that {@linkcode toConn} accepts. */
export type ConnSource = Conn | DuplexStreams | NodeDuplex;

/**
 * Returns a connection over the source, which it takes over:
 *
 * - a {@linkcode Conn} as it is
 * - a `Deno.Conn`, such as one for TLS or a Unix socket, through its own methods: its
 *   streams cannot be half-closed. It cannot be reset.
 * - Web streams as by {@linkcode fromStreams}
 * - a Node.js `Duplex`, such as `net.Socket`, `tls.TLSSocket` or a channel of SSH. It is
 *   read on demand, so that at most the stream's own buffer is read ahead, and may be
 *   half-closed from then on. (For TLS on Deno, use `Deno.listenTls()`: a `TLSSocket`
 *   there loses the end of the stream when reading has paused.)
 *
 * `localAddr` and `remoteAddr` are those of the source, or zeros if it has none.
 *
 * @throws {TypeError} for anything else.
 *
 * @example
 * ```ts
 * import { PassThrough } from "node:stream";
 * import { toConn } from "@x/socks5/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const conn = toConn(new PassThrough());
 * await conn.write(Uint8Array.of(1, 2, 3));
 * await conn.closeWrite();
 * assertEquals(await conn.read(), Uint8Array.of(1, 2, 3));
 * assertEquals(await conn.read(), null);
 * ```
 */
export function toConn(source: ConnSource): Conn {
  if (isConn(source)) return source;
  const { localAddr = NO_ADDRESS, remoteAddr = NO_ADDRESS } = addressesOf(
    source,
  );
  if (isReader(source)) return new ReaderConn(source, localAddr, remoteAddr);
  if (isStreams(source)) return fromStreams(source, { localAddr, remoteAddr });
  if (isDuplex(source)) return new DuplexConn(source);
  throw new TypeError(
    "expected a Conn, Web streams ({ readable, writable }) or a Node.js Duplex",
  );
}

function isConn(source: unknown): source is Conn {
  return hasMethods(
    source,
    ["read", "unread", "peek", "write", "closeWrite", "close", "reset"],
  );
}

function isReader(source: unknown): source is BufferReader {
  return isStreams(source) &&
    hasMethods(source, ["read", "write", "closeWrite", "close"]);
}

function isStreams(source: unknown): source is DuplexStreams {
  const { readable, writable } = (source ?? {}) as Record<string, unknown>;
  return hasMethods(readable, ["getReader"]) &&
    hasMethods(writable, ["getWriter"]);
}

function isDuplex(source: unknown): source is NodeDuplex {
  return hasMethods(source, ["on", "read", "write", "end", "destroy"]);
}

function hasMethods(it: unknown, names: readonly string[]): boolean {
  if (typeof it !== "object" || it === null) return false;
  const members = it as Record<string, unknown>;
  return names.every((name) => typeof members[name] === "function");
}

/** The addresses of a connection. */
interface Addresses {
  readonly localAddr?: Address;
  readonly remoteAddr?: Address;
}

function addressesOf(source: unknown): Addresses {
  const { localAddr, remoteAddr } = (source ?? {}) as Partial<
    Record<keyof Addresses, Partial<Address>>
  >;
  return { localAddr: toAddress(localAddr), remoteAddr: toAddress(remoteAddr) };
}

/** Not the address of a Unix socket, which is a path. */
function toAddress(addr?: Partial<Address>): Address | undefined {
  const { hostname, port } = addr ?? {};
  const isAddress = typeof hostname === "string" && typeof port === "number";
  return isAddress ? plainAddress(hostname, port) : undefined;
}

/**
 * Returns a connection over Web streams, for example a tunnel inside another protocol.
 * `localAddr` and `remoteAddr` are zeros unless they are given.
 *
 * @example
 * ```ts
 * import { fromStreams } from "@x/socks5/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * const conn = fromStreams({ readable, writable }, {
 *   remoteAddr: { hostname: "192.0.2.1", port: 443 },
 * });
 * conn.write(Uint8Array.of(1, 2, 3));
 * assertEquals(await conn.read(), Uint8Array.of(1, 2, 3));
 * assertEquals(conn.localAddr, { hostname: "0.0.0.0", port: 0 });
 * conn.close();
 * ```
 */
export function fromStreams(
  streams: DuplexStreams,
  addresses: { readonly localAddr?: Address; readonly remoteAddr?: Address } =
    {},
): Conn {
  return new StreamConn(streams, addresses);
}

class StreamConn implements Conn {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #unread: Uint8Array[] = [];
  #finished = false;
  #closed = false;
  /** Reject the pending writes, which the sink may never finish. */
  readonly #interrupts = new Set<() => void>();
  /** The result of the read that a peek has started. */
  #ahead: Promise<Uint8Array | null> | undefined;

  constructor(streams: DuplexStreams, { localAddr, remoteAddr }: Addresses) {
    this.localAddr = localAddr ?? NO_ADDRESS;
    this.remoteAddr = remoteAddr ?? NO_ADDRESS;
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
      if (this.#closed) throw closedError();
      const { done, value } = await this.#reader.read()
        .catch((error) => this.#fail(error));
      if (this.#closed) throw closedError();
      if (done) return null;
      if (!(value instanceof Uint8Array)) throw notBytes();
      if (value.length > 0) return value;
    }
  }

  unread(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#unread.unshift(chunk);
  }

  peek(): Promise<boolean> {
    if (this.#unread.length > 0) return Promise.resolve(true);
    const answer = (this.#ahead ??= this.read()).then((it) => it !== null);
    answer.catch(() => {}); // a relay may have started meanwhile, and nothing awaits it
    return answer;
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#closed || this.#finished) return Promise.reject(closedError());
    return this.#unlessClosed(this.#writer.write(chunk));
  }

  async closeWrite(): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    await this.#unlessClosed(this.#writer.close());
  }

  close(): void {
    // The sink may never finish the pending write.
    if (this.#interrupts.size > 0) return this.reset();
    if (!this.#closed && !this.#finished) this.#writer.close().catch(() => {});
    this.#end();
  }

  reset(): void {
    if (!this.#closed) this.#writer.abort(closedError()).catch(() => {});
    this.#end();
  }

  /** Settles like a write, or rejects as soon as the connection is closed. */
  #unlessClosed(writing: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const interrupt = () => reject(closedError());
      this.#interrupts.add(interrupt);
      const over = () => this.#interrupts.delete(interrupt);
      writing.finally(over).then(resolve, (error) => reject(this.#why(error)));
    });
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const interrupt of this.#interrupts) interrupt();
    this.#unread.length = 0;
    this.#ahead = undefined;
    this.#reader.cancel().catch(() => {});
  }

  #fail(error: unknown): never {
    throw this.#why(error);
  }

  /** Why a call failed. */
  #why(error: unknown): NetError {
    return this.#closed ? closedError() : toStreamError(error);
  }
}
