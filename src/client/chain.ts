/**
 * Attempts at commands through a chain of proxies.
 *
 * @module
 */

import { abortError, NetError } from "../transport/errors.ts";
import { Attempt, type AttemptOptions, type ChainPlace } from "./attempt.ts";
import { connectBy } from "./connect.ts";
import type { SocksPhase } from "./error.ts";
import { errorAtHop } from "./hops.ts";
import { Operation, type OperationBounds } from "./operation.ts";
import type { ResolvedProxy } from "./proxy.ts";
import type { SocksConn } from "./socks_conn.ts";
import { abortToSocksError } from "./to_socks_error.ts";

/** The phases in which a hop has accepted the login and tries its target. */
export const AFTER_LOGIN: readonly SocksPhase[] = [
  "request",
  "target-tls",
  "bind",
  "udp",
];

/** A hop, and how to reach it. */
export interface ChainHop {
  readonly proxy: ResolvedProxy;
  readonly place: ChainPlace;
  /** The options of its handshake. Its bounds are those of the chain. */
  readonly options: Pick<AttemptOptions, "auth" | "tls" | "transport">;
}

/**
 * An attempt that reaches the hops one after the other, each through those before it, and
 * runs a command at the last one.
 */
export class Chain extends Operation {
  protected readonly bounds: OperationBounds;
  readonly #hops: readonly ChainHop[];
  readonly #reachTimeout: number;
  /** The hop whose handshake goes on. */
  #hop: ChainHop;
  #attempt: Attempt | undefined;

  /**
   * The bounds are for all hops together. `reachTimeout`, in milliseconds, is for reaching
   * the last one, until it has accepted the login; 0 means no limit.
   */
  constructor(
    hops: readonly ChainHop[],
    bounds: OperationBounds,
    reachTimeout = 0,
  ) {
    super();
    this.#hops = hops;
    this.#hop = hops[0];
    this.bounds = bounds;
    this.#reachTimeout = reachTimeout;
  }

  /** Resolves with the result of `run`, which gets the attempt at the last hop. */
  async command<T>(run: (attempt: Attempt) => Promise<T>): Promise<T> {
    const { clock } = this.bounds;
    const timeout = clock.startTimeout(this.#reachTimeout, endUnreached, this);
    try {
      return await this.run(() => this.#reach(run));
    } finally {
      timeout.cancel();
    }
  }

  async #reach<T>(run: (attempt: Attempt) => Promise<T>): Promise<T> {
    let conn: SocksConn | undefined;
    for (const [i, { proxy }] of this.#hops.slice(1).entries()) {
      conn = await this.open(connectBy(this.#attemptAt(i, conn), proxy, {}));
    }
    const result = await run(this.#attemptAt(this.#hops.length - 1, conn));
    if (isClosable(result)) this.keep(result);
    return result;
  }

  #attemptAt(index: number, conn: SocksConn | undefined): Attempt {
    const { proxy, place, options } = this.#hop = this.#hops[index];
    const own = { timeout: 0, conn, place };
    return this.#attempt = new Attempt(proxy, { ...options, ...own });
  }

  /** Ends the attempt unless the last hop already tries the target. */
  endUnreached(): void {
    const isLast = this.#hop === this.#hops.at(-1);
    const { phase = "dial" } = this.#attempt ?? {};
    if (isLast && AFTER_LOGIN.includes(phase)) return;
    const text = `not reached within ${this.#reachTimeout} ms`;
    this.end(new NetError("timeout", text));
  }

  override end(error: NetError): void {
    super.end(error);
    this.#attempt?.end(error);
  }

  protected callerError(error: unknown): unknown {
    if (!this.stopping.aborted) return error;
    const { proxy, place } = this.#hop;
    const { phase = "dial" } = this.#attempt ?? {};
    const reason = abortError(this.stopping);
    const aborted = abortToSocksError(reason, phase, proxy);
    return errorAtHop(aborted, place.number, place.hops);
  }
}

// One function for all attempts, which saves each a closure.
function endUnreached(chain: Chain): void {
  chain.endUnreached();
}

function isClosable(value: unknown): value is { close(): void } {
  return typeof (value as { close?: unknown }).close === "function";
}
