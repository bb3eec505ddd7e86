/**
 * The parts that all relays share, however they move bytes: counters, the idle time,
 * half-close and a single end. Also the simplest relay, between any two
 * {@linkcode Conn}s.
 *
 * @module
 */

import type {
  Conn,
  Relay,
  RelayEnd,
  RelayOptions,
  RelayOwner,
  Transport,
} from "./transport.ts";
import { closedError, type NetError, toNetError } from "./errors.ts";
import { type Clock, systemClock } from "./clock.ts";
import { closeQuietly, keepAliveQuietly, resetQuietly } from "./quiet.ts";
import { KEEP_ALIVE_AFTER } from "./socket.ts";
import type { Timeout } from "./timeouts.ts";

/** The side of a relay that a failure or a count belongs to; `a` is its first connection. */
export type Side = "a" | "b";

/** One direction of a relay, for connections whose runtime pushes chunks. */
export interface Sink {
  /** Takes bytes, which it may use only until it returns; `false` asks for a pause. */
  take(chunk: Uint8Array): boolean;
  /** The peer has sent FIN. */
  end(): void;
  /** The connection has failed. Without an error, this process has closed it. */
  fail(error?: NetError): void;
}

const CHECKS_PER_IDLE_TIME = 4;

/** One side of a relay, as far as {@linkcode RelayState} needs it. */
export interface Closable extends Pick<Conn, "close" | "reset" | "keepAlive"> {
  /** How many written bytes the kernel has not accepted yet, if that is known. */
  readonly unsent?: number;
}

/**
 * The state of a relay. An adapter moves the bytes and calls {@linkcode count},
 * {@linkcode finish} and {@linkcode fail}; timeouts and closing are done here.
 */
export class RelayState implements Relay {
  sent = 0;
  received = 0;
  owner: RelayOwner | undefined;
  /** Counts activity other than bytes, such as empty datagrams: the relay is not idle then. */
  stirs = 0;
  /** How many directions wait for the {@linkcode RelayRateLimiter}: the relay is not idle then. */
  held = 0;
  /** Whether both sides are closed with FIN, not reset, when the relay is idle. */
  closesIdle = false;
  /** Whether the relay has ended. */
  ended = false;
  readonly #a: Closable;
  readonly #b: Closable;
  readonly #options: RelayOptions;
  #end: RelayEnd | undefined;
  #done: Promise<RelayEnd> | undefined;
  #settle: ((end: RelayEnd) => void) | undefined;
  #finished: Side | undefined;
  #timeout: Timeout | undefined;
  #total = 0;
  #quietChecks = 0;
  #isKeptAlive = false;

  constructor(a: Closable, b: Closable, options: RelayOptions = {}) {
    this.#a = a;
    this.#b = b;
    this.#options = options;
    this.#watch();
  }

  /** The clock that the relay was given. */
  get clock(): Clock {
    return this.#options.clock ?? systemClock;
  }

  get done(): Promise<RelayEnd> {
    return this.#done ??= new Promise((resolve) => {
      if (this.#end) resolve(this.#end);
      else this.#settle = resolve;
    });
  }

  /** Counts bytes that were read from this side. */
  count(from: Side, bytes: number): void {
    if (from === "a") this.sent += bytes;
    else this.received += bytes;
  }

  /** This side's FIN has been forwarded, after all of its bytes. */
  finish(from: Side): void {
    if (this.ended || this.#finished === from) return;
    if (this.#finished) return this.#finish({ reason: "finished" });
    this.#finished = from;
    this.#timeout?.cancel();
    this.#watch();
  }

  /**
   * Whether the other side has ended before. Closing both sides then forwards this
   * side's FIN as well, provided that nothing is left to be written.
   */
  isLast(side: Side): boolean {
    return this.#finished !== undefined && this.#finished !== side;
  }

  /** This side failed: resets the other one, unless that has received everything up to the FIN. */
  fail(side: Side, error: NetError): void {
    if (this.ended) return;
    this.ended = true; // a reset may call back at once
    if (this.#finished !== side) resetQuietly(this.#other(side));
    this.#finish({ reason: "error", side, error });
  }

  /** A FIN that the other side has not sent would make a cut transfer look complete. */
  #endIdle(side: Side, { unsent }: Closable): void {
    const hasAll = this.closesIdle || this.isLast(side);
    if (unsent || !hasAll) resetQuietly(this.#at(side));
  }

  abort(): void {
    if (this.ended) return;
    this.ended = true;
    resetQuietly(this.#a);
    resetQuietly(this.#b);
    this.#finish({ reason: "aborted" });
  }

  #at(side: Side): Closable {
    return side === "a" ? this.#a : this.#b;
  }

  #other(side: Side): Closable {
    return side === "a" ? this.#b : this.#a;
  }

  #finish(end: RelayEnd): void {
    this.ended = true;
    this.#end = end;
    this.#timeout?.cancel();
    closeQuietly(this.#a);
    closeQuietly(this.#b);
    this.#settle?.(end);
    this.owner?.relayEnded(end);
  }

  /** Compares the counters a few times per idle time, so that moving a byte needs no clock. */
  #watch(): void {
    this.#quietChecks = 0;
    this.#total = this.#moved;
    this.#wait();
  }

  #wait(): void {
    const limit = this.#limit;
    const ms = limit > 0
      ? limit / CHECKS_PER_IDLE_TIME
      : this.#isKeptAlive
      ? 0
      : KEEP_ALIVE_AFTER;
    this.#timeout = this.clock.startTimeout(ms, check, this);
  }

  /** The idle time that applies now; 0 means none. */
  get #limit(): number {
    const { idle = 0, halfClosed = 0 } = this.#options;
    return this.#finished ? halfClosed : idle;
  }

  /**
   * Without keepalive, a relay with a dead peer would last for the whole idle time, or
   * for ever without one. Most sessions end before they are quiet and are spared the cost,
   * which is 1 to 2 % of a new connection.
   */
  #keepAlive(): void {
    if (this.#isKeptAlive) return;
    this.#isKeptAlive = true;
    keepAliveQuietly(this.#a);
    keepAliveQuietly(this.#b);
  }

  /** A number that changes with all activity, also when a slow receiver takes buffered bytes. */
  get #moved(): number {
    const unsent = (this.#a.unsent ?? 0) + (this.#b.unsent ?? 0);
    return this.sent + this.received + this.stirs - unsent;
  }

  /** Ends the relay when nothing has moved for long enough. */
  check(): void {
    const limit = this.#limit;
    if (limit === 0) return this.#keepAlive();
    if (this.#moved !== this.#total || this.held > 0) return this.#watch();
    if (limit > KEEP_ALIVE_AFTER) this.#keepAlive();
    if (++this.#quietChecks < CHECKS_PER_IDLE_TIME) return this.#wait();
    this.ended = true; // a reset may call back at once
    this.#endIdle("a", this.#a);
    this.#endIdle("b", this.#b);
    this.#finish({ reason: "idle" });
  }
}

// One function for all relays: otherwise each idle session would keep a closure of its own.
function check(relay: RelayState): void {
  relay.check();
}

/** Returns the connection below all thin layers; see {@linkcode Conn.inner}. */
export function innermost(conn: Conn): Conn {
  let found = conn;
  while (found.inner) found = found.inner;
  return found;
}

/** Limits the speed of a relay. */
export interface RelayRateLimiter {
  /** The largest number of bytes to ask for at once; at least 1. */
  readonly slice: number;
  /**
   * Resolves when this many bytes may be forwarded; `undefined` means at once. A
   * rejection ends the relay with that error.
   */
  pass(bytes: number): Promise<void> | undefined;
}

/** Options of {@linkcode relayByReading}. */
export interface LimitedRelayOptions extends RelayOptions {
  /**
   * Consulted before bytes are forwarded, in both directions. Its owner resolves a
   * waiting {@linkcode RelayRateLimiter.pass} when the relay ends. By default the speed
   * is not limited.
   */
  readonly rateLimiter?: RelayRateLimiter;
}

/**
 * Relays between any two connections by reading and writing, below all thin layers
 * ({@linkcode Conn.inner}). A {@linkcode Transport.relay} falls back to it for foreign
 * connections; relays with a rate limiter always use it.
 *
 * @example
 * ```ts
 * import { fromStreams, relayByReading } from "@x/socks5/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const side = (text: string) =>
 *   fromStreams({
 *     readable: ReadableStream.from([new TextEncoder().encode(text)]),
 *     writable: new WritableStream(),
 *   });
 * const relay = relayByReading(side("question"), side("answer"), { idle: 60_000 });
 * assertEquals((await relay.done).reason, "finished");
 * assertEquals([relay.sent, relay.received], [8, 6]);
 * ```
 */
export function relayByReading(
  client: Conn,
  target: Conn,
  options?: LimitedRelayOptions,
): Relay {
  const a = innermost(client);
  const b = innermost(target);
  const state = new RelayState(a, b, options);
  pump(a, b, "a", state, options?.rateLimiter);
  pump(b, a, "b", state, options?.rateLimiter);
  return state;
}

/**
 * Creates the {@linkcode Transport.relay} of a runtime. `move` starts to move the bytes
 * between two of its own connections; all others are relayed by reading and writing.
 */
export function nativeRelay<T extends Conn & Closable>(
  isNative: (conn: Conn) => conn is T,
  move: (a: T, b: T, state: RelayState) => void,
): Transport["relay"] {
  return (client, target, options) => {
    const a = innermost(client);
    const b = innermost(target);
    if (!(isNative(a) && isNative(b))) return relayByReading(a, b, options);
    const state = new RelayState(a, b, options);
    move(a, b, state);
    return state;
  };
}

async function pump(
  from: Conn,
  to: Conn,
  side: Side,
  state: RelayState,
  rateLimiter?: RelayRateLimiter,
): Promise<void> {
  const other = side === "a" ? "b" : "a";
  let failing: Side = side;
  try {
    while (true) {
      failing = side;
      const chunk = await from.read();
      failing = other;
      if (chunk === null) break;
      if (rateLimiter) {
        await forwardSlices(chunk, to, side, state, rateLimiter);
        continue;
      }
      state.count(side, chunk.length);
      await to.write(chunk);
    }
    await to.closeWrite();
    state.finish(side);
  } catch (error) {
    state.fail(failing, toNetError(error));
  }
}

/** Writes a chunk in slices: as a whole, a long chunk would stall and then burst. */
export async function forwardSlices(
  chunk: Uint8Array,
  to: Conn,
  side: Side,
  state: RelayState,
  rateLimiter: RelayRateLimiter,
): Promise<void> {
  for (let rest = chunk; rest.length > 0;) {
    const slice = rest.subarray(0, rateLimiter.slice);
    rest = rest.subarray(slice.length);
    const wait = rateLimiter.pass(slice.length);
    if (wait) await hold(wait, state);
    state.count(side, slice.length);
    await to.write(slice);
  }
}

async function hold(wait: Promise<void>, state: RelayState): Promise<void> {
  state.held++;
  await wait;
  state.held--;
  if (state.ended) throw closedError();
}
