/**
 * A race between attempts to connect to the addresses of one name (RFC 8305 section 5).
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import {
  abortError,
  NetError,
  type NetErrorKind,
  toNetError,
} from "./errors.ts";
import { closeQuietly } from "./quiet.ts";
import { type AbortSignalLike, AbortSwitch } from "./signal.ts";
import type { Timeout } from "./timeouts.ts";
import type { Conn } from "./transport.ts";

/**
 * How long an attempt runs before the next address is tried as well, in milliseconds
 * (RFC 8305 section 5).
 */
const ATTEMPT_DELAY = 250;

/** How many attempts may be open at a time; each has a descriptor. */
const MAX_OPEN = 8;

/**
 * How long an attempt may run, in milliseconds, before it is given up in favour of
 * another address while {@linkcode MAX_OPEN} attempts are open. Linux repeats a lost SYN
 * after 1 second and again after at most 3: the answer to either is still in time.
 */
const MIN_TIME = 4_000;

/**
 * How many addresses are tried as soon as an earlier one has failed. Those after them
 * are tried at the pace of {@linkcode ATTEMPT_DELAY}: a name with thousands of addresses
 * must not turn a proxy into a port scanner.
 */
const MAX_EAGER = 16;

/** The parts of a {@linkcode race}. */
export interface RaceOptions {
  /** Connects to an address; the signal aborts the attempt. */
  connect(hostname: string, signal: AbortSignalLike): Promise<Conn>;
  /** At least one, in the order in which they are tried. */
  readonly addresses: readonly string[];
  /** The clock for the delays. */
  readonly clock: Clock;
  /** Aborts all attempts. */
  readonly signal?: AbortSignalLike;
}

/**
 * Connects to the first of the addresses that answers, and aborts all other attempts.
 *
 * The next address is tried when an attempt has failed, or after 250 ms without an answer;
 * the attempts before it continue. No more than 8 are open at a time. With more silent
 * addresses than that, the oldest attempt is given up for the next address, but not before
 * it has run for 4 seconds. The number of addresses is not limited, but only the first 16
 * are tried without a delay after a failure. The time of the whole race is not limited:
 * that is up to the signal.
 *
 * If no address answers, rejects with the most specific {@linkcode NetError}.
 */
export function race(options: RaceOptions): Promise<Conn> {
  return new Promise((resolve, reject) =>
    new Race(options, { resolve, reject }).start()
  );
}

interface Outcome {
  resolve(conn: Conn): void;
  reject(error: NetError): void;
}

class Race {
  readonly #options: RaceOptions;
  readonly #outcome: Outcome;
  /** The open attempts and the times of their start, the oldest first. */
  readonly #open = new Map<AbortSwitch, number>();
  /** The most specific error so far. */
  #error: NetError | undefined;
  #tried = 0;
  #isOver = false;
  #delay: Timeout | undefined;

  constructor(options: RaceOptions, outcome: Outcome) {
    this.#options = options;
    this.#outcome = outcome;
  }

  start(): void {
    const { signal } = this.#options;
    if (signal?.aborted) return this.#onAbort();
    signal?.addEventListener("abort", this.#onAbort);
    this.next();
  }

  /** Tries the next address if there is room for it, and sets the delay of the one after it. */
  next(): void {
    const { addresses, clock } = this.#options;
    const hostname = this.#makeRoom() ? addresses[this.#tried++] : undefined;
    if (this.#tried < addresses.length) {
      this.#delay = clock.startTimeout(ATTEMPT_DELAY, tryNext, this);
    }
    if (hostname !== undefined) this.#attempt(hostname);
  }

  /** Returns whether another attempt may start; gives the oldest one up if its time is over. */
  #makeRoom(): boolean {
    if (this.#open.size < MAX_OPEN) return true;
    const [[oldest, startedAt]] = this.#open;
    if (this.#options.clock.now() - startedAt < MIN_TIME) return false;
    const error = new NetError("timeout", "no answer before the next address");
    this.#open.delete(oldest);
    this.#note(error);
    oldest.abort(error);
    return true;
  }

  #attempt(hostname: string): void {
    const { clock, connect } = this.#options;
    const stop = new AbortSwitch();
    this.#open.set(stop, clock.now());
    // Inside a promise, because a transport of a user may throw instead of rejecting.
    new Promise<Conn>((start) => start(connect(hostname, stop))).then(
      (conn) => this.#won(stop, conn),
      (error) => this.#failed(stop, error),
    );
  }

  #won(stop: AbortSwitch, conn: Conn): void {
    if (this.#isOver || !this.#open.has(stop)) return closeQuietly(conn);
    this.#end();
    this.#outcome.resolve(conn);
  }

  #failed(stop: AbortSwitch, error: unknown): void {
    if (this.#isOver || !this.#open.delete(stop)) return;
    this.#note(toNetError(error));
    if (this.#tried < this.#options.addresses.length) {
      if (this.#tried >= MAX_EAGER) return; // the delay goes on
      this.#delay?.cancel();
      return this.next();
    }
    if (this.#open.size > 0) return;
    this.#end();
    this.#outcome.reject(this.#error!);
  }

  readonly #onAbort = (): void => {
    this.#end();
    this.#outcome.reject(abortError(this.#options.signal!));
  };

  #end(): void {
    this.#isOver = true;
    this.#delay?.cancel();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    for (const [stop] of this.#open) stop.abort(lostRace());
  }

  #note(error: NetError): void {
    if (!this.#error || rank(error) < rank(this.#error)) this.#error = error;
  }
}

// One function for all races, which saves each a closure.
function tryNext(race: Race): void {
  race.next();
}

/** Created on first use: the first error takes Deno a tenth of the start-up time of a server. */
let lost: NetError | undefined;

/** Returns the reason for which the losing attempts are aborted. */
function lostRace(): NetError {
  return lost ??= new NetError("aborted", "another address answered first");
}

/** From the most to the least specific; all others come last. */
const SPECIFIC: readonly NetErrorKind[] = [
  "tls",
  "refused",
  "reset",
  "timeout",
  "host-unreachable",
  "denied",
  "net-unreachable",
];

function rank({ kind }: NetError): number {
  const rank = SPECIFIC.indexOf(kind);
  return rank === -1 ? SPECIFIC.length : rank;
}
