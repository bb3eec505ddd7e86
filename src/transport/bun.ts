/**
 * {@linkcode Transport} over `Bun.listen` and `Bun.connect`, for Bun.
 *
 * Bun hands every read over as a fresh chunk and keeps nothing of a write that
 * the kernel did not take, so both waiting rooms are ours: a queue of what
 * nobody has read yet and a queue of what could not be sent yet.
 *
 * @module
 */

import { descriptorLimit } from "./descriptors.ts";
import { lookup } from "./lookup.ts";
import { ReadQueue } from "./read_queue.ts";
import { relayByReading, RelayState, type Side } from "./relay.ts";
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

/** The members of `Bun` that are used here. */
export interface BunNet {
  /** Throws what the system says. */
  listen(options: BunSocketOptions): BunListener;
  /** Says `ECONNREFUSED` for almost every failure and can't be cancelled. */
  connect(options: BunSocketOptions): Promise<BunSocket>;
  /** Throws what the system says of the way to `connect`. */
  udpSocket(options: {
    hostname: string;
    connect: { hostname: string; port: number };
  }): Promise<{ close(): void }>;
}

/** Options of {@linkcode BunNet.listen} and {@linkcode BunNet.connect}. */
export interface BunSocketOptions {
  hostname: string;
  port: number;
  allowHalfOpen: boolean;
  socket: BunHandlers;
  /** What {@linkcode BunSocket.data} is from the start. */
  data?: unknown;
}

/** What a listener or a connection calls. */
export interface BunHandlers {
  binaryType: "uint8array";
  open(socket: BunSocket): void;
  data(socket: BunSocket, chunk: Uint8Array): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  close(socket: BunSocket, error?: Error): void;
}

/** What {@linkcode BunNet.listen} returns. */
export interface BunListener {
  readonly hostname: string;
  readonly port: number;
  stop(): void;
}

/** A TCP socket of Bun's. */
export interface BunSocket {
  data: unknown;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Returns how many octets the kernel took, or -1 when it never will. */
  write(chunk: Uint8Array): number;
  pause(): void;
  resume(): void;
  /** Sends FIN. */
  shutdown(): void;
  /** Closes both directions. */
  end(): void;
  /** Closes both directions and sends RST. */
  terminate(): void;
}

/** Where a relay wants what a connection reads; false = pause. */
interface Sink {
  take(chunk: Uint8Array): boolean;
  end(): void;
}

interface Writer {
  resolve(): void;
  reject(error: NetError): void;
}

class BunConn implements Conn {
  socket!: BunSocket;
  readonly queue = new ReadQueue();
  /** Called each time the kernel has taken all that had to wait. */
  onSent: (() => void) | undefined;
  /** What the kernel has not taken yet: nothing may be written past it. */
  readonly #unsent: Uint8Array[] = [];
  readonly #writers: Writer[] = [];
  #sink: Sink | undefined;
  #onError: ((error: NetError) => void) | undefined;
  #error: NetError | undefined;
  #finSent = false;
  #closed = false;
  #local: Address | undefined;
  #remote: Address | undefined;

  /** Follows a socket, whose events come to {@linkcode HANDLERS}. */
  attach(socket: BunSocket): void {
    this.socket = socket;
    socket.data = this;
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
    if (!this.queue.full && !this.#closed) this.socket.resume();
    return chunk;
  }

  unread(chunk: Uint8Array): void {
    this.queue.unshift(chunk);
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#closed || this.#finSent) return Promise.reject(this.#gone());
    this.send(chunk);
    return this.#sent();
  }

  async closeWrite(): Promise<void> {
    if (this.#finSent) return;
    await this.#sent();
    if (this.#finSent) return;
    if (this.#closed) throw this.#gone();
    this.#finSent = true;
    this.socket.shutdown();
  }

  close(): void {
    this.queue.clear(closed());
    if (!this.#closed) this.socket.end();
  }

  reset(): void {
    this.queue.clear(closed());
    if (!this.#closed) this.socket.terminate();
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

  /** Writes without a promise; false = some of it waits for {@linkcode onSent}. */
  send(chunk: Uint8Array): boolean {
    if (this.#unsent.length > 0) {
      this.#unsent.push(chunk);
      return false;
    }
    const taken = this.#write(chunk);
    if (taken === chunk.length) return true;
    this.#unsent.push(chunk.subarray(taken));
    return false;
  }

  /** The kernel has room again, perhaps. */
  drain(): void {
    const unsent = this.#unsent;
    if (unsent.length === 0 || this.#error) return;
    while (unsent.length > 0) {
      const chunk = unsent[0];
      const taken = this.#write(chunk);
      if (taken < chunk.length) {
        unsent[0] = chunk.subarray(taken);
        return;
      }
      unsent.shift();
    }
    for (const writer of this.#writers.splice(0)) writer.resolve();
    this.onSent?.();
  }

  receive(chunk: Uint8Array): void {
    if (this.#sink) {
      if (!this.#sink.take(chunk)) this.socket.pause();
      return;
    }
    this.queue.push(chunk);
    if (this.queue.full) this.socket.pause();
  }

  ended(): void {
    if (this.queue.ending !== undefined) return;
    this.queue.end(null);
    this.#sink?.end();
  }

  onClose(error: Error | undefined): void {
    this.#closed = true;
    if (error) return this.#fail(toNetError(error));
    if (this.queue.ending) return this.#fail(this.queue.ending); // by close() or reset()
    if (!this.#finSent) return this.#fail(wentAway());
    this.ended(); // after our own FIN the peer's shows as this
  }

  #write(chunk: Uint8Array): number {
    const taken = this.socket.write(chunk);
    if (taken >= 0) return taken;
    // The kernel says only once that the peer has gone, and said it to this
    // write: Bun will show the reset as a FIN.
    this.#fail(wentAway());
    return 0;
  }

  #sent(): Promise<void> {
    if (this.#error) return Promise.reject(this.#gone());
    if (this.#unsent.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) =>
      this.#writers.push({ resolve, reject })
    );
  }

  #fail(error: NetError): void {
    this.#error ??= error;
    this.queue.end(error);
    for (const writer of this.#writers.splice(0)) writer.reject(this.#gone());
    this.#onError?.(error);
  }

  #gone(): NetError {
    return this.queue.ending || this.#error || closed();
  }
}

function closed(): NetError {
  return new NetError("closed", "the connection is closed");
}

function wentAway(): NetError {
  return new NetError("reset", "the peer has gone");
}

function connOf(socket: BunSocket): BunConn {
  return socket.data as BunConn;
}

/** All that happens on any socket. */
const HANDLERS: BunHandlers = {
  binaryType: "uint8array",
  open: (socket) => connOf(socket).attach(socket),
  data: (socket, chunk) => connOf(socket).receive(chunk),
  drain: (socket) => connOf(socket).drain(),
  end: (socket) => connOf(socket).ended(),
  close: (socket, error) => connOf(socket).onClose(error),
};

/** One direction of a relay. */
class Pump implements Sink {
  readonly #to: BunConn;
  readonly #state: RelayState;
  readonly #side: Side;

  constructor(from: BunConn, to: BunConn, side: Side, state: RelayState) {
    this.#to = to;
    this.#side = side;
    this.#state = state;
    to.onSent = () => from.socket.resume();
  }

  take(chunk: Uint8Array): boolean {
    if (this.#state.ended) return false;
    this.#state.count(this.#side, chunk.length);
    return this.#to.send(chunk);
  }

  end(): void {
    this.#to.closeWrite().then(
      () => this.#state.finish(this.#side),
      () => {}, // whatever failed it has failed the relay
    );
  }
}

function relay(a: Conn, b: Conn, options?: RelayOptions): Relay {
  if (!(a instanceof BunConn && b instanceof BunConn)) {
    return relayByReading(a, b, options);
  }
  const state = new RelayState(a, b, options);
  const up = new Pump(a, b, "a", state);
  const down = new Pump(b, a, "b", state);
  a.drainInto(up, (error) => state.fail("a", error));
  b.drainInto(down, (error) => state.fail("b", error));
  return state;
}

const { Bun: bun } = globalThis as unknown as { Bun: BunNet };

/** Bun tells nothing of what fails while it accepts, so `onError` is never called. */
function listen(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
): Promise<Listener> {
  return new Promise((resolve) => {
    try {
      const server = bun.listen({
        hostname: plainHostname(options.hostname),
        port: options.port,
        allowHalfOpen: true,
        socket: {
          ...HANDLERS,
          open(socket) {
            const conn = new BunConn();
            conn.attach(socket);
            onConn(conn);
          },
        },
      });
      resolve(listener(server));
    } catch (error) {
      throw toNetError(error);
    }
  });
}

function listener(server: BunListener): Listener {
  const { hostname, port } = server;
  return {
    addr: { hostname: plainHostname(hostname), port },
    close() {
      server.stop();
      return Promise.resolve();
    },
  };
}

function connect(options: ConnectOptions): Promise<Conn> {
  return new Promise((resolve, reject) => {
    checkPort(options.port);
    const { signal } = options;
    if (signal?.aborted) throw abortError(signal);
    const conn = new BunConn();
    const started = performance.now();
    const onAbort = () => reject(abortError(signal!));
    signal?.addEventListener("abort", onAbort);
    dial(plainHostname(options.hostname), options.port, conn).then(() => {
      signal?.removeEventListener("abort", onAbort);
      // Bun can't cancel an attempt, so one that was given up may still succeed.
      if (signal?.aborted) conn.reset();
      else resolve(conn);
    }, async (error) => {
      signal?.removeEventListener("abort", onAbort);
      reject(await connectError(error, options, performance.now() - started));
    });
  });
}

function dial(
  hostname: string,
  port: number,
  conn: BunConn,
): Promise<BunSocket> {
  const options = { hostname, port, allowHalfOpen: true };
  return bun.connect({ ...options, socket: HANDLERS, data: conn });
}

/** A refusal that takes more milliseconds is none: nobody answered to ARP, or a router gave up. */
const SLOW = 1_000;

/** Why an attempt failed. Bun tells the truth of those that fail at once, and calls all others refused. */
async function connectError(
  error: unknown,
  options: ConnectOptions,
  ms: number,
): Promise<NetError> {
  const { code } = error as { code?: string };
  if (code !== "ECONNREFUSED") return routeError(error);
  const hostname = plainHostname(options.hostname);
  try {
    // To connect a UDP socket sends nothing, but looks for the way.
    const probe = await bun.udpSocket({
      hostname: hostname.includes(":") ? "::" : "0.0.0.0",
      connect: { hostname, port: options.port },
    });
    probe.close();
  } catch (reason) {
    return routeError(reason);
  }
  return toNetError(error, ms > SLOW ? "host-unreachable" : "refused");
}

function routeError(error: unknown): NetError {
  const { code } = error as { code?: string };
  // A blackhole route fails with EINVAL.
  return toNetError(error, code === "EINVAL" ? "net-unreachable" : undefined);
}

/** Bun. */
export const bunTransport: Transport = {
  name: "bun",
  listen,
  connect,
  relay,
  lookup,
  descriptorLimit,
};
