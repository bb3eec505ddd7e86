/**
 * The origin of a connection, and the hook that may change it before the
 * handshake.
 *
 * @module
 */

import { isLoopback } from "../protocol/address.ts";
import type { Clock } from "../transport/clock.ts";
import { withSignal } from "../transport/dial.ts";
import { NetError } from "../transport/errors.ts";
import { AbortSwitch, signalContext } from "../transport/signal.ts";
import type { Address, Conn } from "../transport/transport.ts";

/** The origin of a connection, if the connection itself does not report it. */
export interface Origin {
  /**
   * The client's address. By default `remoteAddr` of the connection. UDP ASSOCIATE
   * accepts datagrams only from this address.
   */
  readonly client?: Address;
  /**
   * Whether the client may be on another machine. An exposed session needs a login
   * (or `openProxy`), and cannot reach special-purpose addresses or this machine
   * unless the policy allows it. By default a session is exposed unless the client is
   * known to be on loopback.
   */
  readonly exposed?: boolean;
}

/** The result of an {@linkcode Accept} hook. */
export interface Accepted extends Origin {
  /** The connection to serve. The server closes it; a wrapper has to close what it wraps. */
  readonly conn: Conn;
}

/**
 * Runs before the handshake of each connection, for everything that precedes SOCKS: a
 * PROXY header, TLS, another wrapper. It shares the handshake timeout, and the
 * connection counts against `limits.sessions`. Resolves with the connection to serve,
 * or with `undefined` to close it without an event, for example after a health check.
 * A rejection resets the connection and is reported as `session-rejected`.
 *
 * @example A private byte before SOCKS
 * ```ts
 * import { type Accept, serve } from "@x/socks5/server";
 *
 * const accept: Accept = async (conn) => {
 *   const chunk = await conn.read();
 *   if (chunk?.[0] !== 0x2a) throw new Error("not our client");
 *   conn.unread(chunk.subarray(1));
 *   return { conn };
 * };
 * await using server = await serve({ port: 0, accept });
 * ```
 */
export type Accept = (
  conn: Conn,
  context: AcceptContext,
) => Accepted | undefined | Promise<Accepted | undefined>;

/** The context of a call of {@linkcode Accept}. */
export interface AcceptContext {
  /**
   * Aborted when the handshake timeout expires or the server shuts down. The connection
   * is closed by then.
   */
  readonly signal: AbortSignal;
}

/** Whether a client is known to be on this machine. */
export function isKnownLoopback({ hostname }: Address): boolean {
  return hostname !== "" && isLoopback(hostname);
}

/** The connections whose {@linkcode Accept} hook has not settled yet. */
export class PendingAccepts {
  readonly #clock: Clock;
  readonly #stops = new Map<AbortSwitch, Conn>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The number of these connections. */
  get size(): number {
    return this.#stops.size;
  }

  /** Runs the hook. If it rejects or takes longer than `timeout`, resets the connection. */
  async run(
    hook: Accept,
    conn: Conn,
    timeout: number,
  ): Promise<Accepted | undefined> {
    const stop = new AbortSwitch();
    const late = () => this.#stop(stop, conn, "timeout");
    const timer = this.#clock.startTimeout(timeout, late);
    this.#stops.set(stop, conn);
    try {
      const answer = Promise.resolve(hook(conn, signalContext(stop)));
      const accepted = await withSignal(
        answer,
        stop,
        (it) => it?.conn.close(),
      );
      if (!accepted) conn.close();
      return accepted;
    } catch (error) {
      conn.reset();
      throw error;
    } finally {
      timer.cancel();
      this.#stops.delete(stop);
    }
  }

  /** Resets all of them. */
  close(): void {
    for (const [stop, conn] of this.#stops) this.#stop(stop, conn, "aborted");
  }

  #stop(stop: AbortSwitch, conn: Conn, kind: "timeout" | "aborted"): void {
    const text = kind === "timeout"
      ? "the accept hook took too long"
      : "the server is shutting down";
    conn.reset();
    stop.abort(new NetError(kind, text));
  }
}
