/**
 * What every relay shares, whichever way its octets are moved: counting, the
 * idle time, half-close and a single end. And the plainest relay of all, over
 * any two {@linkcode Conn}s.
 *
 * @module
 */

import type {
  Conn,
  Relay,
  RelayEnd,
  RelayOptions,
  RelayOwner,
} from "./transport.ts";
import { closedError, type NetError, toNetError } from "./errors.ts";
import { systemClock } from "./clock.ts";
import type { Timeout } from "./timeouts.ts";

/** The side of a relay a failure or a count belongs to; `a` is its first connection. */
export type Side = "a" | "b";

/** Where a relay wants what happens to a connection whose runtime pushes. */
export interface Sink {
  /** Octets that it may keep only until it returns; false = pause. */
  take(chunk: Uint8Array): boolean;
  /** The peer's FIN. */
  end(): void;
  /** A failure; without an error, somebody closed the connection. */
  fail(error?: NetError): void;
}

const CHECKS_PER_IDLE_TIME = 4;

/** What a relay has to do with a side whose octets it does not see. */
export interface Closable extends Pick<Conn, "close" | "reset"> {
  /** How many octets were written to it that the kernel has not taken yet, where that can be told. */
  readonly unsent?: number;
}

/** A relay's books. An adapter counts, finishes and fails; the rest follows. */
export class RelayState implements Relay {
  sent = 0;
  received = 0;
  owner: RelayOwner | undefined;
  /** Counts what keeps the relay from being idle besides octets, such as empty datagrams. */
  stirs = 0;
  /** Directions that wait for the relay's {@linkcode RelayRateLimiter}, which is not idleness. */
  held = 0;
  /** Whether the relay is over. */
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

  constructor(a: Closable, b: Closable, options: RelayOptions = {}) {
    this.#a = a;
    this.#b = b;
    this.#options = options;
    this.#watch();
  }

  get done(): Promise<RelayEnd> {
    return this.#done ??= new Promise((resolve) => {
      if (this.#end) resolve(this.#end);
      else this.#settle = resolve;
    });
  }

  /** Counts octets that came from this side. */
  count(from: Side, octets: number): void {
    if (from === "a") this.sent += octets;
    else this.received += octets;
  }

  /** This side's FIN has been passed on, behind all of its octets. */
  finish(from: Side): void {
    if (this.ended || this.#finished === from) return;
    if (this.#finished) return this.#finish({ reason: "finished" });
    this.#finished = from;
    this.#timeout?.cancel();
    this.#watch();
  }

  /** Whether this side is the last to end: closing both passes its FIN on as well, where nothing is left to be written. */
  isLast(side: Side): boolean {
    return this.#finished !== undefined && this.#finished !== side;
  }

  /** This side failed: the other one learns it by a reset, unless it has had everything up to the FIN. */
  fail(side: Side, error: NetError): void {
    if (this.ended) return;
    this.ended = true; // a reset may call back at once
    if (this.#finished !== side) this.#other(side).reset();
    this.#finish({ reason: "error", side, error });
  }

  abort(): void {
    if (this.ended) return;
    this.ended = true;
    this.#a.reset();
    this.#b.reset();
    this.#finish({ reason: "aborted" });
  }

  #other(side: Side): Closable {
    return side === "a" ? this.#b : this.#a;
  }

  #finish(end: RelayEnd): void {
    this.ended = true;
    this.#end = end;
    this.#timeout?.cancel();
    this.#a.close();
    this.#b.close();
    this.#settle?.(end);
    this.owner?.relayEnded(end);
  }

  /** Looks a few times per idle time whether octets have moved, so that a moving octet costs no clock. */
  #watch(): void {
    this.#quietChecks = 0;
    this.#total = this.#moved;
    this.#wait();
  }

  #wait(): void {
    const { idle = 0, halfClosed = 0, clock = systemClock } = this.#options;
    const ms = this.#finished ? halfClosed : idle;
    this.#timeout = clock.startTimeout(ms / CHECKS_PER_IDLE_TIME, check, this);
  }

  /** Changes whenever anything moves, be it that a slow receiver takes a part of what waits for it. */
  get #moved(): number {
    const waiting = (this.#a.unsent ?? 0) + (this.#b.unsent ?? 0);
    return this.sent + this.received + this.stirs - waiting;
  }

  /** Ends the relay when nothing has moved for long enough. */
  check(): void {
    if (this.#moved !== this.#total || this.held > 0) return this.#watch();
    if (++this.#quietChecks < CHECKS_PER_IDLE_TIME) return this.#wait();
    this.ended = true; // a reset may call back at once
    for (const side of [this.#a, this.#b]) {
      if (side.unsent) side.reset(); // what it lacks is lost, and must not look like the end
    }
    this.#finish({ reason: "idle" });
  }
}

// One for all relays: most sessions are idle ones, and each would keep its own.
function check(relay: RelayState): void {
  relay.check();
}

/** The connection below all layers that pass every byte on unchanged. */
export function innermost(conn: Conn): Conn {
  let found = conn;
  while (found.inner) found = found.inner;
  return found;
}

/** Tells a relay how fast it may go. */
export interface RelayRateLimiter {
  /** Octets that it should ask for at most, at least 1. */
  readonly slice: number;
  /** Resolves when this many octets may go on; `undefined` means at once. Never rejects. */
  pass(octets: number): Promise<void> | undefined;
}

/** What {@linkcode relayByReading} can be told. */
export interface LimitedRelayOptions extends RelayOptions {
  /** Asked before octets go on, in both directions. Who made it ends its waiting when the relay ends. By default as fast as they come. */
  readonly rateLimiter?: RelayRateLimiter;
}

/**
 * Relays between any two connections by reading and writing. A transport's own
 * {@linkcode Transport.relay} falls back to it for connections that it did not
 * make, and a relay that is held back takes it in any case.
 */
export function relayByReading(
  a: Conn,
  b: Conn,
  options?: LimitedRelayOptions,
): Relay {
  const state = new RelayState(a, b, options);
  pump(a, b, "a", state, options?.rateLimiter);
  pump(b, a, "b", state, options?.rateLimiter);
  return state;
}

async function pump(
  from: Conn,
  to: Conn,
  side: Side,
  state: RelayState,
  throttle?: RelayRateLimiter,
): Promise<void> {
  const other = side === "a" ? "b" : "a";
  let failing: Side = side;
  try {
    while (true) {
      failing = side;
      const chunk = await from.read();
      failing = other;
      if (chunk === null) break;
      if (throttle) {
        await passOn(chunk, to, side, state, throttle);
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

/** Writes a chunk bit by bit, for one that is long and slow would stand still and then burst. */
async function passOn(
  chunk: Uint8Array,
  to: Conn,
  side: Side,
  state: RelayState,
  throttle: RelayRateLimiter,
): Promise<void> {
  for (let rest = chunk; rest.length > 0;) {
    const part = rest.subarray(0, throttle.slice);
    rest = rest.subarray(part.length);
    const wait = throttle.pass(part.length);
    if (wait) await hold(wait, state);
    state.count(side, part.length);
    await to.write(part);
  }
}

async function hold(wait: Promise<void>, state: RelayState): Promise<void> {
  state.held++;
  await wait;
  state.held--;
  if (state.ended) throw closedError();
}
