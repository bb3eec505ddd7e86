/**
 * The origin of a connection, and the hook that may change it before the
 * handshake.
 *
 * @module
 */

import {
  canonicalHostname,
  isIp,
  isLoopback,
  isUnspecified,
  unmapIp,
} from "../protocol/address.ts";
import type { Clock } from "../transport/clock.ts";
import { withSignal } from "../transport/dial.ts";
import { NetError } from "../transport/errors.ts";
import { closeQuietly, resetQuietly } from "../transport/quiet.ts";
import { AbortSwitch, signalContext } from "../transport/signal.ts";
import { type ConnSource, toConn } from "../transport/streams.ts";
import type { Address, Conn } from "../transport/transport.ts";
import { clientKey } from "./client_key.ts";
import type { ConnectionLimiter } from "./limits/connection_limiter.ts";
import { KeyedCount } from "./limits/keyed_limit.ts";
import type {
  ConnectionLimits,
  RejectionReason,
} from "./limits/limit_table.ts";

/** The origin of a connection, if the connection itself does not report it. */
export interface Origin {
  /**
   * The client's address. By default `remoteAddr` of the connection or, if a wrapper has
   * none, of the connection that it wraps. UDP ASSOCIATE accepts datagrams only from this
   * address.
   */
  readonly client?: Address;
  /**
   * Whether the client may be on another machine. An exposed session needs a login
   * (or `openProxy`), and cannot reach special-purpose addresses or this machine
   * unless the policy allows it. By default a session is exposed unless the client is
   * known to be on loopback.
   */
  readonly exposed?: boolean;
  /**
   * The address at which the client reached whatever is in front of this server, such as
   * a load balancer. The default policy closes it to exposed sessions, as it does the
   * addresses of this machine.
   */
  readonly destination?: Address;
}

/** The result of an {@linkcode Accept} hook. */
export interface Accepted extends Origin {
  /**
   * The connection to serve. The server closes it; a wrapper must also close the
   * connection that it wraps.
   */
  readonly conn: ConnSource;
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

/** A step before the handshake. */
export interface AcceptHook {
  /** The subject of its error messages. */
  readonly name: string;
  /** The reason for rejecting a connection when it fails. */
  readonly failure: string;
  /** Whether a connection that it closes is reported as a probe. */
  readonly countsProbes: boolean;
  /**
   * Whether the client is known before the step. Otherwise only `limits.sessions` bounds
   * how many connections wait for it.
   */
  readonly knowsClient: boolean;
  readonly accept: Accept;
}

/** A connection on its way to a session. */
export interface Incoming {
  /** The connection to serve. */
  readonly conn: Conn;
  /** The connection that was accepted, below the layers of an {@linkcode Accept} hook. */
  readonly raw: Conn;
  /** Overrides `remoteAddr` of the connection. */
  readonly client: Address | undefined;
  readonly exposed: boolean;
  /** Starts TLS on it; set until that was called, on a port that speaks TLS. */
  readonly startTls?: ((conn: Conn) => Conn) | undefined;
  /** Whether no byte is read before the client's certificate is verified. */
  readonly isCertified: boolean;
  /** Where the client reached what is in front of this server, if that is known. */
  readonly destination?: Address;
  /** How many milliseconds of the handshake timeout have passed. */
  readonly waited: number;
}

/**
 * The client of an origin in canonical form.
 *
 * @throws {TypeError} if it is not an address.
 */
export function clientOf({ client }: Origin): Address | undefined {
  return canonicalAddress(client, "client");
}

/**
 * The destination of an origin in canonical form.
 *
 * @throws {TypeError} if it is not an address.
 */
export function destinationOf({ destination }: Origin): Address | undefined {
  return canonicalAddress(destination, "destination");
}

function canonicalAddress(
  address: Address | undefined,
  name: string,
): Address | undefined {
  if (address === undefined) return undefined;
  const { hostname, port } = address ?? {};
  if (typeof hostname !== "string" || typeof port !== "number") {
    throw new TypeError(`${name} must be an address: { hostname, port }`);
  }
  const canonical = isIp(hostname) ? canonicalHostname(hostname)! : hostname;
  return { hostname: unmapIp(canonical), port };
}

/**
 * The source as a connection with addresses.
 *
 * @throws {TypeError} if it is none.
 */
export function connOf(source: ConnSource): Conn {
  const conn = toConn(source);
  const ends = [conn.localAddr, conn.remoteAddr];
  if (ends.every((it) => typeof it?.hostname === "string")) return conn;
  throw new TypeError("a connection must have localAddr and remoteAddr");
}

/**
 * Untyped callers may pass other values: only `false` itself means that a client is not
 * exposed.
 */
export function exposedBy({ exposed }: Origin, byDefault: boolean): boolean {
  return (exposed ?? byDefault) !== false;
}

/** Whether a client is known to be on this machine. */
export function isKnownLoopback({ hostname }: Address): boolean {
  return hostname !== "" && isLoopback(hostname);
}

/**
 * The key of the limits per client for a connection that waits for a hook. Until the hook
 * has settled, the client is the one that an earlier hook has named, or else `remoteAddr`.
 */
export function pendingClient(
  { knowsClient }: AcceptHook,
  { client, conn }: Incoming,
): string | undefined {
  if (!knowsClient) return undefined;
  return clientKey((client ?? conn.remoteAddr).hostname);
}

/** The connections whose {@linkcode Accept} hook has not settled yet. */
export class PendingAccepts {
  readonly #clock: Clock;
  readonly #stops = new Map<AbortSwitch, Conn>();
  readonly #perClient = new KeyedCount();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The limit that one more connection would exceed, together with `sessions` and with
   * the handshakes that `admitted` counts.
   */
  refuses(
    client: string | undefined,
    sessions: number,
    admitted: Pick<ConnectionLimiter, "handshakesOf">,
    limits: Pick<ConnectionLimits, "sessions" | "handshakesPerClient">,
  ): RejectionReason | undefined {
    if (this.#stops.size + sessions >= limits.sessions) return "sessions";
    if (client === undefined) return undefined;
    const handshakes = this.#perClient.countOf(client) +
      admitted.handshakesOf(client);
    return handshakes >= limits.handshakesPerClient
      ? "handshakesPerClient"
      : undefined;
  }

  /**
   * Runs the hook; resolves with the connection to serve, if there is one. If the
   * hook fails or takes longer than `timeout`, resets the connection and rejects.
   */
  async run(
    hook: AcceptHook,
    incoming: Incoming,
    timeout: number,
  ): Promise<Incoming | undefined> {
    const { accept, name } = hook;
    const { conn } = incoming;
    const client = pendingClient(hook, incoming);
    const started = this.#clock.now();
    const stop = new AbortSwitch();
    const late = () => {
      const error = new NetError("timeout", `${name} took too long`);
      this.#stop(stop, conn, error);
    };
    const timer = this.#clock.startTimeout(timeout, late);
    this.#stops.set(stop, conn);
    if (client !== undefined) this.#perClient.add(client, 1);
    try {
      const answer = Promise.resolve(accept(conn, signalContext(stop)));
      const accepted = await withSignal(
        answer,
        stop,
        (it) => it && closeQuietly(toConn(it.conn)),
      );
      if (accepted === undefined) return void closeQuietly(conn);
      const waited = incoming.waited + this.#clock.now() - started;
      return { ...merge(incoming, accepted), waited };
    } catch (error) {
      resetQuietly(conn);
      throw error;
    } finally {
      timer.cancel();
      this.#stops.delete(stop);
      if (client !== undefined) this.#perClient.add(client, -1);
    }
  }

  /** Resets all these connections. */
  close(): void {
    const error = new NetError("aborted", "the server is shutting down");
    for (const [stop, conn] of this.#stops) this.#stop(stop, conn, error);
  }

  #stop(stop: AbortSwitch, conn: Conn, error: NetError): void {
    resetQuietly(conn);
    stop.abort(error);
  }
}

/**
 * A new client, named by the hook or reported by its connection, is exposed unless it is
 * on loopback. Without a new client, the exposure does not change.
 */
function merge(incoming: Incoming, accepted: Accepted): Incoming {
  if (typeof accepted !== "object" || !accepted?.conn) {
    throw new TypeError("accept must return { conn }, or undefined");
  }
  const named = clientOf(accepted);
  const conn = connOf(accepted.conn);
  const below = incoming.conn.remoteAddr;
  const client = named ?? incoming.client ?? reportedClient(conn, below);
  const isNew = named !== undefined ||
    incoming.client === undefined && client.hostname !== below.hostname;
  return {
    ...incoming,
    conn,
    client,
    destination: destinationOf(accepted) ?? incoming.destination,
    exposed: exposedBy(
      accepted,
      incoming.exposed || isNew && !isKnownLoopback(client),
    ),
  };
}

/** A wrapper may not report the address of the connection that it wraps. */
function reportedClient({ remoteAddr }: Conn, below: Address): Address {
  const { hostname } = remoteAddr;
  return hostname === "" || isUnspecified(hostname) ? below : remoteAddr;
}
