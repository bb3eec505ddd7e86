/**
 * {@linkcode Transport} over `Deno.listen` and `Deno.connect`; `--allow-net` is
 * all the permission it needs.
 *
 * A read that waits holds on to its buffer and cannot be called back, so every
 * wait begins with a small one, and a direction of a relay has a large one only
 * while its reads are large.
 *
 * @module
 */

import { datagrams, type DenoUdp, sourceAddress } from "./deno_datagrams.ts";
import { lookup } from "./lookup.ts";
import { relayByReading, RelayState, type Side } from "./relay.ts";
import { startTimeout } from "./timeouts.ts";
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
  type Signal,
  toConnectError,
  toNetError,
  type Transport,
} from "./transport.ts";

/** The members of `Deno` that are used here. */
export interface DenoNet extends DenoUdp {
  /** Binds and listens at once, or throws. With `reusePort` it ends the process, unless `--unstable-net` was given. */
  listen(
    options: { hostname: string; port: number; reusePort?: boolean },
  ): DenoListener;
  /** Connects; a signal that fires frees the descriptor. */
  connect(
    options: { hostname: string; port: number; signal?: AbortSignal },
  ): Promise<DenoSocket>;
  /** All addresses of this machine; needs the permission. */
  networkInterfaces(): { address: string }[];
  /** Tells what is permitted. */
  readonly permissions: {
    querySync(
      wanted: { name: "sys"; kind: "networkInterfaces" },
    ): { state: string };
  };
}

/** The members of `Deno.TcpListener` that are used here. */
export interface DenoListener {
  /** Where it listens. */
  readonly addr: Address;
  /** The next connection. */
  accept(): Promise<DenoSocket>;
  /** Makes a waiting `accept` reject. */
  close(): void;
}

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
}

const deno = (globalThis as unknown as { Deno: DenoNet }).Deno;

/** Milliseconds until accepting is tried again after it failed. */
const ACCEPT_PAUSE = 50;

/** The sizes of buffers: the first for a wait that may be long, the others as reads fill them. */
const SIZES = [256, 4 * 1024, 16 * 1024, 64 * 1024, 256 * 1024] as const;
const LARGEST = SIZES.length - 1;
/** The largest size beyond {@linkcode LIMIT}. */
const MODEST = 2;
/** The largest size for a chunk that its reader owns. */
const OWNED = 3;
/** Octets in larger buffers above which a read that left room is followed by the smallest. */
const PLENTY = 16 * 1024 * 1024;
/** Octets in larger buffers above which there are modest ones only. */
const LIMIT = 64 * 1024 * 1024;
/** Octets of each size that are kept for later use. */
const SPARE = 4 * 1024 * 1024;
const SLAB_SIZE = 64 * 1024;
const spare: Uint8Array[][] = SIZES.map(() => []);
let larger = 0;

/** The size to read into next, after a read of `length` octets into one of `size`. */
function nextSize(size: number, length: number): number {
  if (length === SIZES[size]) return Math.min(size + 2, LARGEST);
  if (larger > PLENTY) return 0;
  while (size > 0 && length < SIZES[size - 1]) size--;
  return size;
}

function takeBuffer(size: number): Uint8Array {
  if (size > MODEST && larger + SIZES[size] > LIMIT) size = MODEST;
  if (size > 0) larger += SIZES[size];
  else if (spare[0].length === 0) cutSlab();
  return spare[size].pop() ?? new Uint8Array(SIZES[size]);
}

/** Takes a buffer back that no read and no write holds any more. */
function giveBuffer(buffer: Uint8Array): void {
  const size = sizeOf(buffer);
  if (size > 0) larger -= buffer.length;
  if (spare[size].length * buffer.length < SPARE) spare[size].push(buffer);
}

function sizeOf(buffer: Uint8Array): number {
  return SIZES.indexOf(buffer.length as typeof SIZES[number]);
}

/** The smallest buffers share their memory's overhead; no two of them share an octet. */
function cutSlab(): void {
  const slab = new ArrayBuffer(SLAB_SIZE);
  for (let at = 0; at < SLAB_SIZE; at += SIZES[0]) {
    spare[0].push(new Uint8Array(slab, at, SIZES[0]));
  }
}

class DenoConn implements Conn {
  readonly socket: DenoSocket;
  /** Which side of its relay it is. */
  side: Side = "a";
  #relay: RelayState | undefined;
  #size = 0;
  #closed = false;
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

  get local(): Address {
    return this.#local ??= plainAddress(this.socket.localAddr);
  }

  get remote(): Address {
    return this.#remote ??= plainAddress(this.socket.remoteAddr);
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
    return this.socket.write(chunk).then(
      (written) => {
        if (written < chunk.length) return this.write(chunk.subarray(written));
      },
      (error) => {
        throw this.gone(error);
      },
    );
  }

  closeWrite(): Promise<void> {
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

function plainAddress({ hostname, port }: Address): Address {
  return { hostname: plainHostname(hostname), port };
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
        if (written < chunk.length) this.#write(chunk.subarray(written));
        else this.#written();
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

function relay(a: Conn, b: Conn, options?: RelayOptions): Relay {
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

function listen(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
  onError?: (error: NetError) => void,
): Promise<Listener> {
  const hostname = plainHostname(options.hostname);
  const { port, reusePort } = options;
  return new Promise((resolve, reject) => {
    try {
      if (reusePort && !canReusePort()) throw noReusePort();
      const native = deno.listen(
        reusePort ? { hostname, port, reusePort } : { hostname, port },
      );
      resolve(listener(native, onConn, onError));
    } catch (error) {
      reject(toNetError(error));
    }
  });
}

/** Whether `--unstable-net` was given: only then is there this function. */
export function canReusePort(): boolean {
  return "listenDatagram" in deno;
}

function noReusePort(): NetError {
  return new NetError(
    "invalid",
    "Deno shares ports only with the flag --unstable-net",
  );
}

function listener(
  native: DenoListener,
  onConn: (conn: Conn) => void,
  onError?: (error: NetError) => void,
): Listener {
  let open = true;
  let wake = () => {};
  const accept = async () => {
    while (open) {
      let socket: DenoSocket;
      try {
        socket = await native.accept();
      } catch (error) {
        if (!open) return;
        const failure = toNetError(error);
        // Only this client is gone, before it was accepted. A pause would let
        // anyone who connects and resets hold up all others.
        if (failure.kind === "reset") continue;
        onError?.(failure);
        await new Promise<void>((resolve) => {
          const pause = startTimeout(ACCEPT_PAUSE, resolve);
          wake = () => {
            pause.cancel();
            resolve();
          };
        });
        continue;
      }
      onConn(new DenoConn(socket));
    }
  };
  const accepting = accept();
  return {
    addr: plainAddress(native.addr),
    close() {
      if (open) native.close();
      open = false;
      wake();
      return accepting;
    },
  };
}

async function connect(options: ConnectOptions): Promise<Conn> {
  if (options.localAddress) return connectFrom(options);
  const { port, signal } = options;
  checkPort(port);
  if (signal?.aborted) throw abortError(signal);
  const hostname = plainHostname(options.hostname);
  const lent = signal && lendController(signal);
  try {
    const to = { hostname, port, signal: lent?.controller.signal };
    return new DenoConn(await deno.connect(to));
  } catch (error) {
    throw signal?.aborted ? abortError(signal) : toConnectError(error);
  } finally {
    lent?.giveBack();
  }
}

/** Connects through `node:net`, which can choose the address to connect from, as `Deno.connect` cannot. */
async function connectFrom(options: ConnectOptions): Promise<Conn> {
  const { nodeTransport } = await import("./node.ts");
  try {
    return await nodeTransport.connect(options);
  } catch (error) {
    const { message, cause } = error as NetError;
    // That is what it calls an address that is not of this machine.
    const { code } = (cause ?? {}) as { code?: unknown };
    if (code !== "EINVAL") throw error;
    throw new NetError("addr-not-available", message, cause);
  }
}

/** Controllers whose signals have not fired: a kilobyte that not every attempt has to make anew. */
const controllers: AbortController[] = [];

/** A controller that fires with a signal until it is given back. */
function lendController(signal: Signal) {
  const controller = controllers.pop() ?? new AbortController();
  const onAbort = () => controller.abort();
  signal.addEventListener("abort", onAbort);
  const giveBack = () => {
    signal.removeEventListener("abort", onAbort);
    if (!controller.signal.aborted) controllers.push(controller);
  };
  return { controller, giveBack };
}

/** None without the permission: asking would make it ask for it. */
function ownAddresses(): string[] {
  const wanted = { name: "sys", kind: "networkInterfaces" } as const;
  if (deno.permissions.querySync(wanted).state !== "granted") return [];
  return deno.networkInterfaces().map(({ address }) => address);
}

/** Deno. */
export const denoTransport: Transport = {
  name: "deno",
  listen,
  connect,
  relay,
  datagrams,
  sourceAddress,
  lookup,
  ownAddresses,
};
