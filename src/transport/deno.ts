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

import { lookup } from "./lookup.ts";
import { relayByReading, RelayState, type Side } from "./relay.ts";
import { startTimeout } from "./timeouts.ts";
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

/** The members of `Deno` that are used here. */
export interface DenoNet {
  /** Binds and listens at once, or throws. */
  listen(options: { hostname: string; port: number }): DenoListener;
  /** Connects; a signal that fires frees the descriptor. */
  connect(
    options: { hostname: string; port: number; signal?: AbortSignal },
  ): Promise<DenoSocket>;
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

/** The sizes a read's buffer goes through: the first while a connection is quiet, the others as reads fill them. */
const SIZES = [512, 16 * 1024, 64 * 1024, 256 * 1024] as const;
const LARGEST = SIZES.length - 1;
/** What all buffers larger than the first two sizes may take together. */
const LARGE_LIMIT = 64 * 1024 * 1024;
const SPARE_OCTETS = 4 * 1024 * 1024;
const SLAB_SIZE = 64 * 1024;
const spare: Uint8Array[][] = SIZES.map(() => []);
let large = 0;

/** Which size to read into next, after a read of `length` octets into one of `size`. */
function nextSize(size: number, length: number): number {
  if (length === SIZES[size]) return Math.min(size + 1, LARGEST);
  while (size > 0 && length < SIZES[size] / 4) size--;
  return size === 1 ? 0 : size;
}

function takeBuffer(size: number): Uint8Array {
  while (size > 1 && large + SIZES[size] > LARGE_LIMIT) size--;
  if (size > 1) large += SIZES[size];
  if (size === 0 && spare[0].length === 0) cutSlab();
  return spare[size].pop() ?? new Uint8Array(SIZES[size]);
}

/** Takes a buffer back that no read and no write holds any more. */
function giveBuffer(buffer: Uint8Array): void {
  const size = SIZES.indexOf(buffer.length as typeof SIZES[number]);
  if (size > 1) large -= buffer.length;
  const limit = SPARE_OCTETS / SIZES[size];
  if (spare[size].length < limit) spare[size].push(buffer);
}

function cutSlab(): void {
  const slab = new ArrayBuffer(SLAB_SIZE);
  for (let at = 0; at < SLAB_SIZE; at += SIZES[0]) {
    spare[0].push(new Uint8Array(slab, at, SIZES[0]));
  }
}

class DenoConn implements Conn {
  readonly socket: DenoSocket;
  #size = 0;
  #closed = false;
  #unread: Uint8Array[] | undefined;
  #onClose: (() => void) | undefined;
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

  async read(): Promise<Uint8Array | null> {
    const chunk = this.takeUnread();
    if (chunk) return chunk;
    const size = this.#size;
    const buffer = size > 0 ? new Uint8Array(SIZES[size]) : takeBuffer(0);
    try {
      const length = await this.socket.read(buffer);
      if (length === null) return null;
      this.#size = Math.min(nextSize(size, length), 2);
      return size > 0 && length > buffer.length / 2
        ? buffer.subarray(0, length)
        : buffer.slice(0, length);
    } catch (error) {
      throw this.gone(error);
    } finally {
      if (size === 0) giveBuffer(buffer);
    }
  }

  unread(chunk: Uint8Array): void {
    if (chunk.length > 0) (this.#unread ??= []).push(chunk);
  }

  /** Octets that were read too far, which come first. */
  takeUnread(): Uint8Array | undefined {
    return this.#unread?.pop();
  }

  async write(chunk: Uint8Array): Promise<void> {
    try {
      await writeAll(this.socket, chunk);
    } catch (error) {
      throw this.gone(error);
    }
  }

  async closeWrite(): Promise<void> {
    try {
      await this.socket.closeWrite();
    } catch (error) {
      throw this.gone(error);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unread = undefined;
    this.socket.close();
    if (this.#onClose) queueMicrotask(this.#onClose);
  }

  /** Deno has no call for an RST; the kernel sends one if octets are unread. */
  reset(): void {
    this.close();
  }

  /** Tells a relay when the connection is closed by somebody else. */
  onClose(onClose: () => void): void {
    this.#onClose = onClose;
    if (this.#closed) queueMicrotask(onClose);
  }

  /** Why a call failed. */
  gone(error: unknown): NetError {
    return this.#closed ? closed() : toNetError(error);
  }
}

function plainAddress({ hostname, port }: Address): Address {
  return { hostname: plainHostname(hostname), port };
}

function closed(): NetError {
  return new NetError("closed", "the connection is closed");
}

async function writeAll(socket: DenoSocket, chunk: Uint8Array): Promise<void> {
  let written = await socket.write(chunk);
  while (written < chunk.length) {
    written += await socket.write(chunk.subarray(written));
  }
}

/** One direction of a relay. */
async function pump(
  from: DenoConn,
  to: DenoConn,
  side: Side,
  state: RelayState,
): Promise<void> {
  const other = side === "a" ? "b" : "a";
  let failing = other as Side;
  let buffer = takeBuffer(0);
  let size = 0;
  try {
    for (let chunk = from.takeUnread(); chunk; chunk = from.takeUnread()) {
      state.count(side, chunk.length);
      await writeAll(to.socket, chunk);
    }
    while (true) {
      failing = side;
      const length = await from.socket.read(buffer);
      failing = other;
      if (length === null) break;
      state.count(side, length);
      const chunk = buffer.subarray(0, length);
      let written = await to.socket.write(chunk);
      while (written < length) {
        written += await to.socket.write(chunk.subarray(written));
      }
      const next = nextSize(size, length);
      if (next === size) continue;
      giveBuffer(buffer);
      buffer = takeBuffer(next);
      size = SIZES.indexOf(buffer.length as typeof SIZES[number]);
    }
    await to.socket.closeWrite();
    state.finish(side);
  } catch (error) {
    state.fail(failing, (failing === side ? from : to).gone(error));
  } finally {
    giveBuffer(buffer);
  }
}

function relay(a: Conn, b: Conn, options?: RelayOptions): Relay {
  if (!(a instanceof DenoConn && b instanceof DenoConn)) {
    return relayByReading(a, b, options);
  }
  const state = new RelayState(a, b, options);
  a.onClose(() => state.fail("a", closed()));
  b.onClose(() => state.fail("b", closed()));
  pump(a, b, "a", state);
  pump(b, a, "b", state);
  return state;
}

function listen(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
  onError?: (error: NetError) => void,
): Promise<Listener> {
  const hostname = plainHostname(options.hostname);
  return new Promise((resolve, reject) => {
    try {
      const native = deno.listen({ hostname, port: options.port });
      resolve(listener(native, onConn, onError));
    } catch (error) {
      reject(netError(error));
    }
  });
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
        onError?.(netError(error));
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
  const { port, signal } = options;
  checkPort(port);
  if (signal?.aborted) throw abortError(signal);
  const hostname = plainHostname(options.hostname);
  try {
    return new DenoConn(await deno.connect({ hostname, port, signal }));
  } catch (error) {
    throw signal?.aborted ? abortError(signal) : netError(error);
  }
}

/** As {@linkcode toNetError}, for listening and connecting. */
function netError(error: unknown): NetError {
  const { name, code } = (error ?? {}) as { name?: string; code?: string };
  if (name === "NotCapable") return toNetError(error, "denied");
  // A blackhole route fails with EINVAL.
  return toNetError(error, code === "EINVAL" ? "net-unreachable" : undefined);
}

/** Deno. */
export const denoTransport: Transport = {
  name: "deno",
  listen,
  connect,
  relay,
  lookup,
};
