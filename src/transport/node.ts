/**
 * {@linkcode Transport} over `node:net`, for Node.js 20 and later.
 *
 * Octets are read into a buffer of ours (`onread`) instead of a fresh 64 KiB
 * each time: idle connections share one, a busy direction of a relay gets one
 * of its own for as long as it is busy.
 *
 * @module
 */

import * as net from "node:net";
import { descriptorLimit } from "./descriptors.ts";
import { lookup } from "./lookup.ts";
import { ReadQueue } from "./read_queue.ts";
import { relayByReading, RelayState, type Side } from "./relay.ts";
import { startTimeout, type Timeout } from "./timeouts.ts";
import {
  abortError,
  type Address,
  checkPort,
  type Conn,
  type ConnectOptions,
  type Listener,
  type ListenOptions,
  NetError,
  plainHostname,
  type Relay,
  type RelayOptions,
  toNetError,
  type Transport,
} from "./transport.ts";

/** A socket's handle, which Node.js does not document; every use has a way round. */
interface Handle {
  useUserBuffer?(buffer: Uint8Array): void;
}
type WithHandle = { _handle?: Handle | null };

const EMPTY = new Uint8Array(0);
const SHARED = Buffer.allocUnsafeSlow(64 * 1024);
/** A read of at least this many octets earns a direction its own buffer. */
const BUSY_READ = 16 * 1024;
const BUSY_BUFFER = 256 * 1024;
/** Milliseconds without a read after which a direction gives its buffer back. */
const QUIET = 5_000;
const SPARE_BUFFERS = 16;
const spare: Buffer[] = [];

/** Where a relay wants what a connection reads; false = pause. */
interface Sink {
  take(chunk: Uint8Array): boolean;
  end(): void;
}

class NodeConn implements Conn {
  socket!: net.Socket;
  /** What the runtime fills next. */
  buffer: Buffer = SHARED;
  readonly queue = new ReadQueue();
  #sink: Sink | undefined;
  #onError: ((error: NetError) => void) | undefined;
  #local: Address | undefined;
  #remote: Address | undefined;

  readonly onread = {
    buffer: (): Buffer => this.buffer,
    callback: (length: number, buffer: Uint8Array): boolean =>
      this.#receive(buffer.subarray(0, length)),
  };

  /** Follows a socket that reads by {@linkcode onread}, or by `data` events where `handle` was not to be had. */
  attach(socket: net.Socket, byEvents = false): void {
    this.socket = socket;
    socket.on("end", () => {
      this.queue.end(null);
      this.#sink?.end();
    });
    socket.on("error", (error) => this.#fail(toNetError(error)));
    socket.on("close", this.#onClose);
    if (byEvents) {
      socket.on("data", (chunk: Buffer) => {
        if (!this.#receive(chunk)) socket.pause();
      });
    }
  }

  get local(): Address {
    return this.#local ??= {
      hostname: plainHostname(this.socket.localAddress ?? ""),
      port: this.socket.localPort ?? 0,
    };
  }

  get remote(): Address {
    return this.#remote ??= {
      hostname: plainHostname(this.socket.remoteAddress ?? ""),
      port: this.socket.remotePort ?? 0,
    };
  }

  read(): Promise<Uint8Array | null> {
    const chunk = this.queue.read();
    if (!this.queue.full && !this.socket.destroyed) this.socket.resume();
    return chunk;
  }

  unread(chunk: Uint8Array): void {
    this.queue.unshift(chunk);
  }

  write(chunk: Uint8Array): Promise<void> {
    const socket = this.socket;
    return new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(this.#gone());
      socket.write(
        chunk,
        (error) => error ? reject(this.#gone(error)) : resolve(),
      );
    });
  }

  closeWrite(): Promise<void> {
    const socket = this.socket;
    return new Promise((resolve, reject) => {
      if (socket.writableFinished) return resolve();
      if (socket.destroyed) return reject(this.#gone());
      socket.end((error?: Error | null) =>
        error ? reject(this.#gone(error)) : resolve()
      );
    });
  }

  close(): void {
    this.queue.clear(closed());
    this.socket.destroy();
  }

  reset(): void {
    this.queue.clear(closed());
    if (!this.socket.destroyed) this.socket.resetAndDestroy();
  }

  /** Hands all that is still unread, and all that comes, to a relay. */
  drainInto(sink: Sink, onError: (error: NetError) => void): void {
    this.#sink = sink;
    this.#onError = onError;
    const queue = this.queue;
    let more = true;
    for (let chunk = queue.shift(); chunk; chunk = queue.shift()) {
      more = sink.take(chunk) && more;
    }
    if (queue.ending) return onError(queue.ending);
    if (queue.ending === null) return sink.end();
    if (more) this.socket.resume();
    else this.socket.pause();
  }

  /** Makes `buffer` the one the next read fills; only while no write holds the present one. */
  useBuffer(buffer: Buffer): boolean {
    const handle = (this.socket as WithHandle)._handle;
    if (!handle?.useUserBuffer) return false;
    handle.useUserBuffer(buffer);
    this.buffer = buffer;
    return true;
  }

  #receive(chunk: Uint8Array): boolean {
    if (this.#sink) return this.#sink.take(chunk);
    this.queue.push(new Uint8Array(chunk));
    return !this.queue.full;
  }

  #fail(error: NetError): void {
    this.queue.end(error);
    this.#onError?.(error);
  }

  readonly #onClose = (): void => {
    if (this.queue.ending === null) return; // both FINs have passed
    this.#fail(this.queue.ending ?? closed());
  };

  #gone(error?: unknown): NetError {
    if (this.queue.ending) return this.queue.ending;
    return error ? toNetError(error) : closed();
  }
}

function closed(): NetError {
  return new NetError("closed", "the connection is closed");
}

/** One direction of a relay. */
class Pump implements Sink {
  readonly #from: NodeConn;
  readonly #to: net.Socket;
  readonly #state: RelayState;
  readonly #side: Side;
  #quiet: Timeout | undefined;
  #reads = 0;
  #readsBefore = 0;
  #writing = false;

  constructor(from: NodeConn, to: NodeConn, side: Side, state: RelayState) {
    this.#from = from;
    this.#to = to.socket;
    this.#side = side;
    this.#state = state;
  }

  take(chunk: Uint8Array): boolean {
    if (this.#state.ended) return false;
    this.#reads++;
    this.#state.count(this.#side, chunk.length);
    const own = this.#from.buffer !== SHARED;
    const shared = chunk.buffer === SHARED.buffer;
    const room = this.#to.write(shared ? copy(chunk) : chunk);
    if (shared && chunk.length >= BUSY_READ) this.#borrow();
    if (this.#to.writableLength === 0 || (room && !own)) return true;
    this.#writing = true;
    this.#to.write(EMPTY, this.#onWritten); // its callback comes when all before it is with the kernel
    return false;
  }

  end(): void {
    this.#to.end((error?: Error | null) => {
      if (error || this.#state.ended) return;
      this.#giveBack();
      this.#state.finish(this.#side);
    });
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#writing = false;
    if (!error && !this.#state.ended) this.#from.socket.resume();
  };

  #borrow(): void {
    if (this.#from.buffer !== SHARED) return;
    this.#from.buffer = spare.pop() ?? Buffer.allocUnsafeSlow(BUSY_BUFFER);
    this.#quiet = startTimeout(QUIET, this.#checkQuiet);
  }

  readonly #checkQuiet = (): void => {
    if (this.#state.ended) return;
    const quiet = this.#reads === this.#readsBefore && !this.#writing;
    this.#readsBefore = this.#reads;
    if (quiet && this.#giveBack()) return;
    this.#quiet = startTimeout(QUIET, this.#checkQuiet);
  };

  #giveBack(): boolean {
    const buffer = this.#from.buffer;
    if (buffer === SHARED) return true;
    const ended = this.#from.queue.ending === null;
    if (!ended && !this.#from.useBuffer(SHARED)) return false;
    this.#from.buffer = SHARED;
    this.#quiet?.cancel();
    if (spare.length < SPARE_BUFFERS) spare.push(buffer);
    return true;
  }

  /** The relay is over: what a write may still hold is left to the garbage collector. */
  stop(): void {
    this.#quiet?.cancel();
  }
}

function copy(chunk: Uint8Array): Uint8Array {
  const octets = Buffer.allocUnsafe(chunk.length); // from Node's pool when small
  octets.set(chunk);
  return octets;
}

function relay(a: Conn, b: Conn, options?: RelayOptions): Relay {
  if (!(a instanceof NodeConn && b instanceof NodeConn)) {
    return relayByReading(a, b, options);
  }
  const state = new RelayState(a, b, options);
  const up = new Pump(a, b, "a", state);
  const down = new Pump(b, a, "b", state);
  state.done.then(() => {
    up.stop();
    down.stop();
  });
  a.drainInto(up, (error) => state.fail("a", error));
  b.drainInto(down, (error) => state.fail("b", error));
  return state;
}

/** Takes an accepted socket's handle into a socket that reads into our buffer. */
function adopt(accepted: net.Socket): NodeConn {
  const conn = new NodeConn();
  const handle = (accepted as WithHandle)._handle;
  if (!handle?.useUserBuffer) {
    conn.attach(accepted, true);
    return conn;
  }
  const options = { handle, onread: conn.onread, allowHalfOpen: true };
  conn.attach(new net.Socket(options as net.SocketConstructorOpts));
  return conn;
}

function listen(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
  onError?: (error: NetError) => void,
): Promise<Listener> {
  const server = net.createServer(
    { allowHalfOpen: true, noDelay: true, pauseOnConnect: true },
    (socket) => onConn(adopt(socket)),
  );
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(toNetError(error)));
    server.listen(
      { host: plainHostname(options.hostname), port: options.port },
      () => {
        server.removeAllListeners("error");
        server.on("error", (error) => onError?.(toNetError(error)));
        resolve(listener(server));
      },
    );
  });
}

function listener(server: net.Server): Listener {
  const { address, port } = server.address() as net.AddressInfo;
  return {
    addr: { hostname: plainHostname(address), port },
    close() {
      server.close();
      return Promise.resolve();
    },
  };
}

function connect(options: ConnectOptions): Promise<Conn> {
  return new Promise((resolve, reject) => {
    checkPort(options.port);
    const { signal } = options;
    if (signal?.aborted) throw abortError(signal);
    const conn = new NodeConn();
    const socket = net.connect({
      host: plainHostname(options.hostname),
      port: options.port,
      allowHalfOpen: true,
      noDelay: true,
      autoSelectFamily: false,
      onread: conn.onread,
    });
    const onAbort = () => {
      socket.destroy();
      reject(abortError(signal!));
    };
    const onError = (error: Error) => {
      signal?.removeEventListener("abort", onAbort);
      const { code } = error as { code?: string };
      // A blackhole route fails with EINVAL.
      reject(
        toNetError(error, code === "EINVAL" ? "net-unreachable" : undefined),
      );
    };
    signal?.addEventListener("abort", onAbort);
    socket.once("error", onError);
    socket.once("connect", () => {
      signal?.removeEventListener("abort", onAbort);
      socket.off("error", onError);
      resolve(conn);
    });
    conn.attach(socket);
  });
}

/** Node.js. */
export const nodeTransport: Transport = {
  name: "node",
  listen,
  connect,
  relay,
  lookup,
  descriptorLimit,
};
