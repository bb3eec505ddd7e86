/**
 * {@linkcode Transport} over `Bun.listen` and `Bun.connect`, for Bun.
 *
 * Bun hands every read over as a fresh chunk and keeps nothing of a write that
 * the kernel did not take, so both waiting rooms are ours: a queue of what
 * nobody has read yet and a queue of what could not be sent yet.
 *
 * @module
 */

import type { Socket as NetSocket } from "node:net";
import {
  type BunUdp,
  datagrams,
  sourceAddress,
  sourceOf,
} from "./bun_datagrams.ts";
import { descriptorLimit } from "./descriptors.ts";
import { ownAddresses } from "./interfaces.ts";
import { lookup } from "./lookup.ts";
import { ReadQueue } from "./read_queue.ts";
import { relayByReading, RelayState, type Side, type Sink } from "./relay.ts";
import {
  abortError,
  type Address,
  checkPort,
  closedError,
  type Conn,
  type ConnectOptions,
  type Listener,
  type ListenOptions,
  NetError,
  plainHostname,
  type Relay,
  type RelayOptions,
  toConnectError,
  toNetError,
  type Transport,
} from "./transport.ts";

/** The members of `Bun` that are used here. */
export interface BunNet extends BunUdp {
  /** Throws what the system says. */
  listen(options: BunSocketOptions): BunListener;
  /** Says `ECONNREFUSED` for almost every failure and can't be cancelled. */
  connect(options: BunSocketOptions): Promise<BunSocket>;
}

/** Options of {@linkcode BunNet.listen} and {@linkcode BunNet.connect}. */
export interface BunSocketOptions {
  hostname: string;
  port: number;
  /** Where to connect from; Bun's types do not show it. */
  localAddress?: string;
  allowHalfOpen: boolean;
  /** Whether other listeners may have the port, too. */
  reusePort?: boolean;
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
  /** Puts other handlers in. */
  reload(options: { socket: BunHandlers }): void;
}

const DONE = Promise.resolve();
/** A chunk of at least this many octets is worth freeing by hand. */
const LARGE = 16 * 1024;

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
  #error: NetError | undefined;
  #finSent = false;
  #closed = false;
  #local: Address | undefined;
  #remote: Address | undefined;

  /** `remote` where it is known: to ask for it is a call to the kernel for each member. */
  constructor(remote?: Address) {
    this.#remote = remote;
  }

  /** Whether the kernel has taken all that was written. */
  get isSent(): boolean {
    return this.#unsent.length === 0;
  }

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
    const wasFull = this.queue.full;
    const chunk = this.queue.read();
    if (wasFull && !this.queue.full) this.socket.resume();
    return chunk;
  }

  unread(chunk: Uint8Array): void {
    this.queue.unshift(chunk);
  }

  peek(): Promise<boolean> {
    return this.queue.peek();
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#closed || this.#finSent) return Promise.reject(this.#gone());
    const rest = this.#hand(chunk);
    if (rest) this.#unsent.push(rest);
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
    this.queue.close();
    if (!this.#closed) this.socket.end();
  }

  reset(): void {
    this.queue.close();
    if (!this.#closed) this.socket.terminate();
  }

  /** Hands all that is still unread, and all that comes, to a relay. */
  drainInto(sink: Sink): void {
    this.#sink = sink;
    const { queue, socket } = this;
    let more = true;
    for (let chunk = queue.shift(); chunk; chunk = queue.shift()) {
      more = sink.take(chunk) && more;
    }
    if (this.#error) return sink.fail(this.#error);
    if (queue.ending === null) return sink.end();
    if (more) socket.resume();
    else socket.pause();
  }

  /** Writes without a promise, and keeps nothing of the chunk but a copy of what has to wait: then false, until {@linkcode onSent}. */
  send(chunk: Uint8Array): boolean {
    const rest = this.#hand(chunk);
    if (rest) this.#unsent.push(rest.slice());
    return !rest;
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

  /** Takes what the runtime has read. */
  receive(chunk: Uint8Array): void {
    if (this.#sink) {
      if (!this.#sink.take(chunk)) this.socket.pause();
      return release(chunk);
    }
    this.queue.push(chunk);
    if (this.queue.full) this.socket.pause();
  }

  /** The peer has sent its FIN. */
  end(): void {
    if (this.queue.ending !== undefined) return;
    this.queue.end(null);
    this.#sink?.end();
  }

  /** The socket is closed, by whomever. */
  closed(error?: Error): void {
    this.#closed = true;
    if (error) return this.#fail(toNetError(error));
    if (this.queue.closed) return this.#fail(closedError());
    if (!this.#finSent) return this.#fail(wentAway());
    this.end(); // after our own FIN the peer's shows as this
  }

  /** Gives the kernel what it takes, and returns the rest. */
  #hand(chunk: Uint8Array): Uint8Array | undefined {
    const taken = this.#unsent.length > 0 ? 0 : this.#write(chunk);
    return taken < chunk.length ? chunk.subarray(taken) : undefined;
  }

  #write(chunk: Uint8Array): number {
    const taken = this.socket.write(chunk);
    if (taken >= 0) return taken;
    // The kernel says only once that the peer has gone, and said it to this
    // write: Bun will show the reset as a FIN.
    this.#fail(wentAway());
    return 0;
  }

  /** Resolves when all that was written is with the kernel. */
  #sent(): Promise<void> {
    if (this.#error) return Promise.reject(this.#gone());
    if (this.#unsent.length === 0) return DONE;
    return new Promise((resolve, reject) =>
      this.#writers.push({ resolve, reject })
    );
  }

  #fail(error: NetError): void {
    this.#error ??= error;
    this.queue.end(error);
    for (const writer of this.#writers.splice(0)) writer.reject(this.#gone());
    this.#sink?.fail(error);
  }

  /** Why a call failed. */
  #gone(): NetError {
    if (this.queue.closed) return closedError();
    return this.#error ?? closedError();
  }
}

/** Frees a chunk's memory now, so that the next one finds it warm: a sixth of what bulk costs. */
function release(chunk: Uint8Array): void {
  if (chunk.length >= LARGE) (chunk.buffer as ArrayBuffer).transfer(0);
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
  end: (socket) => connOf(socket).end(),
  close: (socket, error) => connOf(socket).closed(error),
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
    const onSent = () => from.socket.resume();
    to.onSent = onSent;
  }

  take(chunk: Uint8Array): boolean {
    if (this.#state.ended) return false;
    this.#state.count(this.#side, chunk.length);
    return this.#to.send(chunk);
  }

  end(): void {
    const isLast = this.#state.isLast(this.#side);
    if (isLast && this.#to.isSent) return this.#state.finish(this.#side);
    this.#to.closeWrite().then(
      () => this.#state.finish(this.#side),
      () => {}, // whatever failed it has failed the relay
    );
  }

  fail(error?: NetError): void {
    if (this.#state.ended) return;
    this.#state.fail(this.#side, error ?? closedError());
  }
}

function relay(a: Conn, b: Conn, options?: RelayOptions): Relay {
  if (!(a instanceof BunConn && b instanceof BunConn)) {
    return relayByReading(a, b, options);
  }
  const state = new RelayState(a, b, options);
  const up = new Pump(a, b, "a", state);
  const down = new Pump(b, a, "b", state);
  a.drainInto(up);
  b.drainInto(down);
  return state;
}

const { Bun: bun } = globalThis as unknown as { Bun: BunNet };

/** Bun tells nothing of what fails while it accepts, so `onError` is never called. */
function listen(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
): Promise<Listener> {
  try {
    const server = bun.listen({
      hostname: plainHostname(options.hostname),
      port: options.port,
      reusePort: options.reusePort ?? false,
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
    return Promise.resolve(listener(server));
  } catch (error) {
    return Promise.reject(toNetError(error));
  }
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

/** Attempts of Bun's that are under way. One that was given up still is, with its descriptor, until the kernel gives up too. */
let pending = 0;
/** With that many of them, new ones go another way. */
const MAX_PENDING = 64;

function connect(options: ConnectOptions): Promise<Conn> {
  return new Promise((resolve, reject) => {
    const { port, signal } = options;
    checkPort(port);
    if (signal?.aborted) throw abortError(signal);
    const conn = new BunConn({
      hostname: plainHostname(options.hostname),
      port,
    });
    const started = performance.now();
    const revoke = pending < MAX_PENDING
      ? attempt(options, conn, onOpen, onError)
      : attemptByNode(options, conn, onOpen, onError);
    signal?.addEventListener("abort", onAbort);

    function onAbort(): void {
      revoke();
      reject(abortError(signal!));
    }
    function onOpen(): void {
      signal?.removeEventListener("abort", onAbort);
      resolve(conn);
    }
    async function onError(error: unknown): Promise<void> {
      signal?.removeEventListener("abort", onAbort);
      reject(await connectError(error, options, performance.now() - started));
    }
  });
}

/** Starts an attempt of Bun's; returns the way to give it up, which can't end it. */
function attempt(
  { hostname, port, localAddress }: ConnectOptions,
  conn: BunConn,
  onOpen: () => void,
  onError: (error: unknown) => void,
): () => unknown {
  let givenUp = false;
  pending++;
  bun.connect({
    hostname: plainHostname(hostname),
    port,
    ...localAddress && { localAddress },
    allowHalfOpen: true,
    socket: HANDLERS,
    data: conn,
  }).finally(() => pending--).then(
    () => givenUp ? conn.reset() : onOpen(),
    (error) => givenUp || onError(error),
  );
  return () => givenUp = true;
}

/** Starts an attempt through `node:net`, which costs more but can be ended, and takes its socket over. */
function attemptByNode(
  { hostname, port, localAddress }: ConnectOptions,
  conn: BunConn,
  onOpen: () => void,
  onError: (error: unknown) => void,
): () => unknown {
  let socket: NetSocket & { _handle?: BunSocket | null } | undefined;
  let givenUp = false;
  const host = plainHostname(hostname);
  // Not before it is needed: to load it takes a third of the time until a server listens.
  import("node:net").then(({ createConnection }) => {
    if (givenUp) return;
    socket = createConnection({
      host,
      port,
      localAddress,
      allowHalfOpen: true,
    });
    socket.once("error", onError);
    socket.once("connect", () => {
      const handle = socket?._handle;
      if (!socket || !handle) return onError(wentAway());
      socket._handle = null;
      conn.attach(handle);
      handle.reload({ socket: HANDLERS });
      handle.resume();
      onOpen();
    });
  });
  return () => {
    givenUp = true;
    socket?.destroy();
  };
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
  if (code !== "ECONNREFUSED") return toConnectError(error);
  try {
    await sourceOf(plainHostname(options.hostname), options.port);
  } catch (reason) {
    return toConnectError(reason);
  }
  return toNetError(error, ms > SLOW ? "host-unreachable" : "refused");
}

/** Bun. */
export const bunTransport: Transport = {
  name: "bun",
  listen,
  connect,
  relay,
  datagrams,
  sourceAddress,
  lookup,
  descriptorLimit,
  ownAddresses,
};
