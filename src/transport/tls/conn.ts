/**
 * Connections that speak TLS over the sockets of `node:tls`, on every runtime: those of
 * Deno and Bun cannot be reset, and neither ask for client certificates nor release the
 * descriptors of silent clients reliably.
 *
 * @module
 */

import type * as net from "node:net";
import type * as tls from "node:tls";
import { ReadQueue } from "../common/read_queue.ts";
import { toBytes } from "../duplex_conn.ts";
import { closedError, NetError, peerGone, TlsError } from "../errors.ts";
import type { Sink } from "../relay.ts";
import { KEEP_ALIVE_AFTER, plainAddress, resetSocket } from "../socket.ts";
import { startTimeout, type Timeout } from "../timeouts.ts";
import type { TlsFacts } from "../tls_options.ts";
import type { Address, Conn } from "../transport.ts";
import { ConnStream } from "./conn_stream.ts";
import { toTlsError } from "./tls_error.ts";

/** How long a peer may take to accept the end of the stream, in milliseconds. */
const PARTING = 1_000;

/** Undocumented members; each use works without them, too. */
interface Internals {
  readonly _handle?: {
    getpeername?(into: Record<string, unknown>): number;
    readStart?(): void;
    readStop?(): void;
  } | null;
}

/** A TLS socket, and the TCP socket or the stream below it, as a {@linkcode Conn}. */
export class TlsConn implements Conn {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  readonly #socket: tls.TLSSocket;
  readonly #raw: net.Socket | ConnStream;
  readonly #queue = new ReadQueue();
  #sink: Sink | undefined;
  #facts: TlsFacts | undefined;
  #isPaused = false;
  #isParting = false;
  #late: Timeout | undefined;

  /**
   * Whether a relay may use the socket of this connection directly; false for TLS over
   * another connection, and for a `Proxy` object, which may change methods.
   */
  static isNative(conn: Conn): conn is TlsConn {
    return #sink in conn && !(conn.#raw instanceof ConnStream);
  }

  /** Takes over both; `remote` is the peer's address if that is known. */
  constructor(
    socket: tls.TLSSocket,
    raw: net.Socket | ConnStream,
    remote?: Address,
  ) {
    this.#socket = socket;
    this.#raw = raw;
    this.localAddr = plainAddress(raw.localAddress, raw.localPort);
    this.remoteAddr = remote ?? plainAddress(raw.remoteAddress, raw.remotePort);
    socket.on("data", (chunk: Uint8Array) => this.receive(chunk));
    socket.on("end", () => this.#ended());
    const onError = (error: unknown) =>
      this.fail(toTlsError(error, this.#facts));
    socket.on("error", onError);
    // Without a `tls.Server`, Node.js reports broken records only by this event.
    socket.on("_tlsError", onError);
    socket.on("close", () => this.#closed());
    // The errors of a TCP socket are those of the TLS socket, which reports them as well.
    const isTcp = !(raw instanceof ConnStream);
    raw.on("error", isTcp ? () => {} : onError);
    if (isTcp) return;
    const onEnd = () => this.#facts ? this.#ended() : onError(cut());
    raw.onEnd = onEnd;
    raw.onFailed = onError;
  }

  /** The socket, for a relay. */
  get socket(): tls.TLSSocket {
    return this.#socket;
  }

  get tls(): TlsFacts | undefined {
    return this.#facts;
  }

  /** The handshake is complete and the peer's certificate is accepted. */
  secured(facts: TlsFacts): void {
    this.#facts = facts;
  }

  /** Ends the connection by an error, which the next read reports. */
  fail(error: NetError): void {
    this.#queue.end(error);
    this.#sink?.fail(error);
    this.#drop();
  }

  /** Passes all unread bytes, and all that follow, to a relay. */
  drainInto(sink: Sink): void {
    this.#sink = sink;
    const queue = this.#queue;
    let more = true;
    for (let chunk = queue.shift(); chunk; chunk = queue.shift()) {
      more = sink.take(chunk) && more;
    }
    if (queue.ending) return sink.fail(queue.ending);
    if (queue.ending === null) return sink.end();
    if (this.#socket.destroyed) return sink.fail();
    if (more && this.#isPaused) this.resume();
    if (!more && !this.#isPaused) this.#pause();
  }

  read(): Promise<Uint8Array | null> {
    const chunk = this.#queue.read();
    if (this.#isPaused && !this.#queue.full) this.resume();
    return chunk;
  }

  unread(chunk: Uint8Array): void {
    this.#queue.unshift(chunk);
  }

  peek(): Promise<boolean> {
    return this.#queue.peek();
  }

  write(chunk: Uint8Array): Promise<void> {
    const { destroyed, writableEnded } = this.#socket;
    if (destroyed || writableEnded) return Promise.reject(this.#why());
    // An empty record fails on Deno.
    if (chunk.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) =>
      this.#socket.write(
        chunk,
        (error) =>
          error ? reject(this.#why(error)) : this.#whenFlushed(resolve),
      )
    );
  }

  closeWrite(): Promise<void> {
    const { destroyed, writableEnded } = this.#socket;
    if (writableEnded) return Promise.resolve();
    if (destroyed) return Promise.reject(this.#why());
    return new Promise((resolve, reject) =>
      this.#socket.end((error?: Error | null) =>
        error ? reject(this.#why(error)) : this.#whenFlushed(resolve)
      )
    );
  }

  #whenFlushed(call: () => void): void {
    const raw = this.#raw;
    if (raw instanceof ConnStream) raw.whenFlushed(call);
    else call();
  }

  close(): void {
    if (this.#queue.closed) return;
    this.#queue.close();
    const { destroyed, writableFinished } = this.#socket;
    const isOver = destroyed || writableFinished;
    // Nothing can be sent before the end of the handshake, or after unwritten bytes.
    if (isOver || !this.#facts || this.unsent > 0) return this.#drop();
    this.#part();
  }

  /**
   * Sends close_notify and FIN, and waits for the peer's: a FIN alone is an attack to some
   * peers (RFC 8446 section 6.1), and a socket that is closed before it has received
   * everything sends RST, which overtakes them.
   */
  #part(): void {
    this.#late = startTimeout(PARTING, () => this.#drop());
    this.#isParting = true;
    if (this.#isPaused) this.resume();
    // Also if it was called before.
    this.#socket.end(() => this.#whenFlushed(() => this.#parted()));
  }

  /** Closes the socket when both sides have sent FIN. */
  #parted(): void {
    const { readableEnded, writableFinished } = this.#socket;
    if (this.#isParting && readableEnded && writableFinished) this.#drop();
  }

  reset(): void {
    this.#queue.close();
    const raw = this.#raw;
    if (raw.destroyed || this.#isSendingFin()) return this.#drop();
    // Not both at once: Node.js would free the state of TLS in the next tick, which may be
    // inside the OpenSSL call that reports the end of the handshake, and crash.
    raw.once("close", () => this.#drop());
    resetSocket(raw);
  }

  keepAlive(): void {
    this.#raw.setKeepAlive(true, KEEP_ALIVE_AFTER);
  }

  /** How many bytes the kernel has not accepted yet; see {@linkcode RelayState}. */
  get unsent(): number {
    const below = this.#raw instanceof ConnStream
      ? this.#raw.writableLength
      : 0;
    return this.#socket.writableLength + below;
  }

  /** Called with decrypted bytes. */
  receive(chunk: Uint8Array): void {
    // No byte of a peer whose certificate has not been checked.
    if (!this.#facts) return this.fail(unverified());
    if (this.#isParting) return;
    let more: boolean;
    if (this.#sink) more = this.#sink.take(chunk);
    else {
      this.#queue.push(toBytes(chunk)!);
      more = !this.#queue.full;
    }
    if (!more && !this.#isPaused) this.#pause();
  }

  /**
   * Stops reading from the TCP socket. To pause the TLS socket would not do on Deno: it
   * goes on receiving, without a bound, and loses the end of the stream.
   */
  #pause(): void {
    this.#isPaused = true;
    const handle = this.#handle;
    if (handle?.readStop && handle.readStart) handle.readStop();
    else this.#socket.pause();
  }

  /** Continues reading after a pause. */
  resume(): void {
    this.#isPaused = false;
    const handle = this.#handle;
    if (handle?.readStop && handle.readStart) handle.readStart();
    else this.#socket.resume();
  }

  get #handle(): Internals["_handle"] {
    const raw = this.#raw;
    return raw instanceof ConnStream ? raw : (raw as Internals)._handle;
  }

  /** Called when either side has closed the socket. */
  #closed(): void {
    const bothEnded = this.#queue.ending === null && !this.#queue.closed;
    if (!bothEnded) this.#sink?.fail(); // otherwise bytes may still be on their way
    this.#queue.end(peerGone());
    this.#drop();
  }

  #ended(): void {
    this.#parted();
    if (this.#wasReset()) this.fail(peerGone());
    else {
      this.#queue.end(null);
      this.#sink?.end();
    }
  }

  /**
   * Whether the end of the stream is a reset, which Deno does not report. A socket that
   * has not sent its own FIN has a peer address unless it was reset.
   */
  #wasReset(): boolean {
    const handle = this.#handle;
    if (this.#socket.writableEnded || !handle?.getpeername) return false;
    return handle.getpeername({}) !== 0;
  }

  /** Node.js cannot reset a socket whose FIN is on its way, and would leak its descriptor. */
  #isSendingFin(): boolean {
    const { writableEnded, writableFinished, writableLength } = this.#socket;
    return writableEnded && writableLength === 0 && !writableFinished;
  }

  #drop(): void {
    this.#late?.cancel();
    this.#socket.destroy();
    this.#raw.destroy();
  }

  /** Why a call failed. */
  #why(error?: unknown): NetError {
    const { closed, ending } = this.#queue;
    if (closed || this.#socket.writableEnded && !error) return closedError();
    if (ending) return ending;
    const why = error ? toTlsError(error, this.#facts) : peerGone();
    // The connection below may be closed because the peer is gone, but this one is not.
    return why.kind === "closed" ? peerGone() : why;
  }
}

function cut(): NetError {
  return new NetError("ended", "the connection ended");
}

function unverified(): NetError {
  return new TlsError(
    "handshake",
    "bytes came before the end of the handshake",
  );
}
