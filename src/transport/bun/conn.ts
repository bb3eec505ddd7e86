/**
 * Connections and relays over sockets of Bun's.
 *
 * Bun hands every read over as a fresh chunk and keeps nothing of a write that
 * the kernel did not take, so both waiting rooms are ours: a queue of what
 * nobody has read yet and a queue of what could not be sent yet.
 *
 * @module
 */

import { ReadQueue } from "../common/read_queue.ts";
import {
  innermost,
  relayByReading,
  RelayState,
  type Side,
  type Sink,
} from "../relay.ts";
import type { Address, Conn, Relay, RelayOptions } from "../transport.ts";
import { closedError, NetError, toNetError } from "../errors.ts";
import { KEEP_ALIVE_AFTER, plainAddress } from "../common/checks.ts";

/** What a listener or a connection calls. */
export interface BunHandlers {
  binaryType: "uint8array";
  open?(socket: BunSocket): void;
  /** An attempt to connect has failed; where this is told, its promise needs nobody. */
  connectError?(socket: Pick<BunSocket, "data">, error: Error): void;
  data(socket: BunSocket, chunk: Uint8Array): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  close(socket: BunSocket, error?: Error): void;
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
  setKeepAlive(on: boolean, afterMs: number): void;
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

/** A socket of Bun as a {@linkcode Conn}. */
export class BunConn implements Conn {
  socket!: BunSocket;
  readonly queue = new ReadQueue();
  /** Called once, when the attempt to connect is over. */
  onOpen: ((error?: Error) => void) | undefined;
  /** Called each time the kernel has taken all that had to wait. */
  onSent: (() => void) | undefined;
  /** What the kernel has not taken yet: nothing may be written past it. Like {@linkcode #writers} only while there is something. */
  #unsent: Uint8Array[] | undefined;
  #writers: Writer[] | undefined;
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

  /** How many octets the kernel has not taken yet. */
  get unsent(): number {
    return this.#unsent?.reduce((sum, { length }) => sum + length, 0) ?? 0;
  }

  /** Follows a socket, whose events come to {@linkcode HANDLERS}. */
  attach(socket: BunSocket): void {
    this.socket = socket;
    socket.data = this;
  }

  /** An attempt to connect is over, in this way. */
  opened(error?: Error): void {
    this.onOpen?.(error);
    this.onOpen = undefined;
  }

  get localAddr(): Address {
    const { socket } = this;
    return this.#local ??= plainAddress(socket.localAddress, socket.localPort);
  }

  get remoteAddr(): Address {
    const { socket } = this;
    return this.#remote ??= plainAddress(
      socket.remoteAddress,
      socket.remotePort,
    );
  }

  keepAlive(): void {
    if (!this.#closed) this.socket.setKeepAlive(true, KEEP_ALIVE_AFTER);
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
    if (rest) this.#keep(rest);
    return this.#sent();
  }

  closeWrite(): Promise<void> {
    if (this.#finSent) return DONE;
    return this.#unsent
      ? this.#sent().then(() => this.#sendFin())
      : this.#sendFin();
  }

  #sendFin(): Promise<void> {
    if (this.#finSent) return DONE;
    if (this.#closed || this.#error) return Promise.reject(this.#gone());
    this.#finSent = true;
    this.socket.shutdown();
    return DONE;
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
    if (this.#hasFailed) return sink.fail(this.#error);
    if (queue.ending === null) return sink.end();
    if (more) socket.resume();
    else socket.pause();
  }

  /** Writes without a promise, and keeps nothing of the chunk but a copy of what has to wait: then false, until {@linkcode onSent}. */
  send(chunk: Uint8Array): boolean {
    const rest = this.#hand(chunk);
    if (rest) this.#keep(rest.slice());
    return !rest;
  }

  /** The kernel has room again, perhaps. */
  drain(): void {
    const unsent = this.#unsent;
    if (!unsent || this.#hasFailed) return;
    while (unsent.length > 0) {
      const chunk = unsent[0];
      const taken = this.#write(chunk);
      if (taken < chunk.length) {
        unsent[0] = chunk.subarray(taken);
        return;
      }
      unsent.shift();
    }
    this.#unsent = undefined;
    this.#settle((it) => it.resolve());
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
    if (this.queue.closed) return this.#fail(); // by us
    if (!this.#finSent) return this.#fail(wentAway());
    this.end(); // after our own FIN the peer's shows as this
  }

  /** Gives the kernel what it takes, and returns the rest. */
  #hand(chunk: Uint8Array): Uint8Array | undefined {
    const taken = this.#unsent ? 0 : this.#write(chunk);
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
    if (this.#hasFailed) return Promise.reject(this.#gone());
    if (!this.#unsent) return DONE;
    return new Promise((resolve, reject) =>
      (this.#writers ??= []).push({ resolve, reject })
    );
  }

  #keep(rest: Uint8Array): void {
    (this.#unsent ??= []).push(rest);
  }

  /** Tells all who wait for what they wrote. */
  #settle(tell: (writer: Writer) => void): void {
    const writers = this.#writers;
    this.#writers = undefined;
    writers?.forEach(tell);
  }

  /** Nothing more comes or goes; without an error because we have closed. */
  #fail(error?: NetError): void {
    if (error) {
      this.#error ??= error;
      this.queue.end(error);
    }
    if (this.#writers) this.#settle((it) => it.reject(this.#gone()));
    this.#sink?.fail(error);
  }

  get #hasFailed(): boolean {
    return this.#error !== undefined || this.#closed && this.queue.closed;
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

/** Why nothing can be sent any more. */
export function wentAway(): NetError {
  return new NetError("reset", "the peer has gone");
}

/** The connection that a socket belongs to. */
export function connOf(socket: Pick<BunSocket, "data">): BunConn {
  return socket.data as BunConn;
}

/** All that happens on any socket once it is open. */
export const HANDLERS: BunHandlers = {
  binaryType: "uint8array",
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
    if (isLast && this.#to.unsent === 0) return this.#state.finish(this.#side);
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

/** {@linkcode Transport.relay}. */
export function relay(
  client: Conn,
  target: Conn,
  options?: RelayOptions,
): Relay {
  const a = innermost(client);
  const b = innermost(target);
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
