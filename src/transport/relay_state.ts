/**
 * The part that all relays share, however they move bytes: counters, the idle time,
 * half-close and a single end.
 *
 * @module
 */

import { type Clock, systemClock } from "./clock.ts";
import type { NetError } from "./errors.ts";
import { closeQuietly, keepAliveQuietly, resetQuietly } from "./quiet.ts";
import { KEEP_ALIVE_AFTER } from "./socket.ts";
import type { Timeout } from "./timeouts.ts";
import type {
  Conn,
  Relay,
  RelayEnd,
  RelayOptions,
  RelayOwner,
} from "./transport.ts";

/** The side of a relay that a failure or a count belongs to; `a` is its first connection. */
export type Side = "a" | "b";

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
