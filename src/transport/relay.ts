/**
 * Relays: the simplest one, between any two {@linkcode Conn}s, and the frame of those that a
 * runtime has for its own connections.
 *
 * @module
 */

import { closedError, type NetError, toNetError } from "./errors.ts";
import { RelayState, type Side } from "./relay_state.ts";
import type { Conn, Relay, RelayOptions, Transport } from "./transport.ts";

/** One direction of a relay, for connections whose runtime pushes chunks. */
export interface Sink {
  /** Takes bytes, which it may use only until it returns; `false` asks for a pause. */
  take(chunk: Uint8Array): boolean;
  /** The peer has sent FIN. */
  end(): void;
  /** The connection has failed. Without an error, this process has closed it. */
  fail(error?: NetError): void;
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
export function nativeRelay<T extends Conn>(
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
