/**
 * One connection on its way through the proxies, without I/O except for the look-up of
 * names.
 *
 * @module
 */

import { setTimeout as startTimer } from "node:timers";
import type { ClientAuth } from "../../client/auth.ts";
import type { ClientDialect, HandshakeAttempt } from "../../client/dialect.ts";
import type { SocksPhase } from "../../client/error.ts";
import { Handshake } from "../../client/handshake.ts";
import { errorAtHop } from "../../client/hops.ts";
import { checkSignal, checkTimeout } from "../../client/options.ts";
import type { ResolvedProxy } from "../../client/proxy.ts";
import {
  abortToSocksError,
  targetTlsError,
  toSocksError,
} from "../../client/to_socks_error.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { ProtocolError } from "../../protocol/decode.ts";
import { COMMAND } from "../../protocol/socks5.ts";
import { abortError, NetError } from "../../transport/errors.ts";
import { onAbort } from "../../transport/signal.ts";
import { createTimeouts, type Timeout } from "../../transport/timeouts.ts";
import { toConnectError } from "./connect_error.ts";
import type { Route, RouteHop } from "./route.ts";

/** The bounds of one connection. */
export interface DialBounds {
  /** In place of the time limit of the route, in milliseconds; 0 means no limit. */
  readonly timeout?: number;
  /** Ends the attempt in any phase. */
  readonly signal?: AbortSignal;
}

/** The connection of a {@linkcode Dial}, such as a `net.Socket`. */
export interface Destroyable {
  destroy(error: Error): unknown;
}

/** Unlike those of the library, these timers do not keep a process alive: sockets do. */
const startTimeout = createTimeouts({
  now: () => performance.now(),
  setTimeout: (call, ms) => startTimer(call, ms).unref(),
  clearTimeout: (handle) => clearTimeout(handle as number | undefined),
});

/**
 * The handshakes with the proxies of a route, one after the other, and the bounds of the
 * whole. The owner of the connection calls:
 *
 * 1. {@linkcode prepare}, then connects to the first proxy, {@linkcode Dial.next}
 * 2. {@linkcode start} when it is connected, and sends what that returns
 * 3. {@linkcode feed} with what arrives, and sends what that returns, until
 *    {@linkcode isGranted}
 * 4. again from step 2 on if there is a next proxy: it speaks TLS, which begins before
 *    `start()`
 * 5. {@linkcode end}, at success, and as soon as anything has failed
 */
export class Dial implements HandshakeAttempt {
  phase: SocksPhase = "dial";
  /** The stream that is destroyed with the error when the time is over or the signal fires. */
  socket: Destroyable;
  readonly target: Endpoint;
  readonly #route: Route;
  readonly #timeout: number;
  /** The request for each proxy. */
  #requests: readonly Endpoint[] = [];
  /** The index of the proxy whose handshake is next or has begun. */
  #at = 0;
  #handshake: Handshake | undefined;
  #rest: Uint8Array | undefined;
  #isOver = false;
  /** Why the dial was given up. */
  #reason: Error | undefined;
  #timer: Timeout;
  #stopListening: (() => void) | undefined;

  /** Starts the time limit. */
  constructor(
    route: Route,
    target: Endpoint,
    socket: Destroyable,
    { timeout = route.timeout, signal }: DialBounds = {},
  ) {
    checkTimeout(timeout);
    if (signal) checkSignal(signal);
    this.#route = route;
    this.target = target;
    this.socket = socket;
    this.#timeout = timeout;
    this.#timer = startTimeout(timeout, endLate, this);
    if (signal) this.#listen(signal);
  }

  #listen(signal: AbortSignal): void {
    const end = () => this.#stop(abortError(signal));
    this.#stopListening = onAbort(signal, end);
    // The caller has to get the dial first.
    if (signal.aborted) queueMicrotask(end);
  }

  /** The proxy that is next; `undefined` when all have granted their requests. */
  get next(): RouteHop | undefined {
    return this.#route.hops[this.#at];
  }

  get #hop(): RouteHop {
    return this.next ?? this.#route.hops[this.#at - 1];
  }

  get proxy(): ResolvedProxy {
    return this.#hop.proxy;
  }

  get dialect(): ClientDialect {
    return this.#hop.dialect;
  }

  get auth(): readonly ClientAuth[] {
    return this.#hop.auth;
  }

  /** Whether the dial has succeeded, failed, or was given up. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Prepares the requests. Returns a promise if this client has to resolve names for that.
   * Both throw and reject with what {@linkcode explain} takes.
   */
  prepare(): Promise<void> | undefined {
    const requests = this.#route.requests(this.target);
    if (requests instanceof Promise) {
      return requests.then((it) => void (this.#requests = it));
    }
    this.#requests = requests;
  }

  /** Returns the first message to the next proxy, to which the connection is open. */
  start(): Uint8Array {
    const request = this.#requests[this.#at];
    this.#handshake = new Handshake(this, COMMAND.connect, request);
    return this.#handshake.start();
  }

  /**
   * Takes octets; returns octets to send, if there are any. Throws what
   * {@linkcode explain} takes.
   */
  feed(octets: Uint8Array): Uint8Array | undefined {
    const handshake = this.#handshake;
    if (!handshake) throw tooEarly();
    const message = handshake.feed(octets);
    if (!handshake.bound) return message;
    this.#handshake = undefined;
    this.#rest = handshake.takeRest();
    this.#at++;
    const { next } = this;
    if (!next) return undefined;
    this.phase = "dial";
    if (this.#rest.length > 0) throw tooEarly();
    return next.tls ? undefined : this.start();
  }

  /** Whether the handshakes are done up to the next proxy with TLS, or up to the target. */
  get isGranted(): boolean {
    return this.#handshake === undefined;
  }

  /** Removes and returns the octets that came after the last reply, if there are any. */
  takeRest(): Uint8Array | undefined {
    const rest = this.#rest;
    this.#rest = undefined;
    return rest && rest.length > 0 ? rest : undefined;
  }

  /** Ends the time limit: the dial has succeeded, failed, or was given up. */
  end(): void {
    this.#isOver = true;
    this.#timer.cancel();
    this.#stopListening?.();
  }

  /** Gives the dial up: destroys its connection with this error, which is that for the caller. */
  abort(reason: Error): void {
    if (this.#isOver) return;
    this.#reason = reason;
    this.socket.destroy(reason);
  }

  /** The error for the caller, for any failure. */
  explain(error: unknown): Error {
    if (this.#reason) return this.#reason;
    const { phase, proxy, target } = this;
    const known = toSocksError(error, phase, proxy);
    const isLocal = known.code === "dns" || known.code === "address-type";
    const { hops } = this.#route;
    const place = Math.min(this.#at + 1, hops.length);
    const placed = isLocal
      ? known
      : errorAtHop(known, place, hops.map((it) => it.proxy));
    return toConnectError(placed, target, proxy);
  }

  /** The error for the caller, for a failure of the target's TLS. */
  explainTls(error: unknown): Error {
    const { proxy, target } = this;
    return this.#reason ??
      toConnectError(targetTlsError(error, target), target, proxy);
  }

  /** The error for a connection that has ended. */
  ended(): Error {
    return this.explain(new NetError("ended", "it sent FIN"));
  }

  /** Fails because the time is over. */
  endLate(): void {
    const what = this.phase === "target-tls"
      ? "no TLS connection to the target"
      : "no reply";
    const message = `${what} within ${this.#timeout} ms`;
    this.#stop(new NetError("timeout", message));
  }

  #stop(reason: NetError): void {
    const error = abortToSocksError(reason, this.phase, this.proxy);
    this.abort(this.explain(error));
  }
}

// One function for all dials, which saves each a closure.
function endLate(dial: Dial): void {
  dial.endLate();
}

function tooEarly(): ProtocolError {
  return new ProtocolError("message", "it sends data before it is asked");
}
