/**
 * The interface of a running server.
 *
 * @module
 */

import type { ConnSource } from "../transport/streams.ts";
import type { Address } from "../transport/transport.ts";
import type { Origin } from "./accept.ts";
import type { Session } from "./events.ts";
import type { ServeOptions } from "./options.ts";

/** Options of {@linkcode Server.shutdown}. */
export interface ShutdownOptions {
  /**
   * How long clients are still accepted, in milliseconds, while a load balancer finds out
   * by its health checks that this server is about to stop. The grace time begins after it.
   *
   * @default {0}
   */
  readonly drainDelay?: number;
  /**
   * How long sessions may take to end by themselves, in milliseconds; 0 ends them at
   * once.
   *
   * @default {10_000}
   */
  readonly grace?: number;
}

/** The options that can be changed while the server runs. */
export type ServerUpdate = Omit<
  ServeOptions,
  | "hostname"
  | "port"
  | "listen"
  | "reusePort"
  | "plainPort"
  | "signal"
  | "onEvent"
  | "transport"
  | "sharedLimits"
  | "accounting"
>;

/** A running server. */
export interface Server extends AsyncDisposable {
  /** The address and port it listens on; zeros if it does not listen. */
  readonly addr: Address;
  /** The address and port of the listener beside it that does not speak TLS, if any. */
  readonly plainAddr?: Address;
  /** The open sessions, in the order of their ids. */
  readonly sessions: readonly Session[];
  /** Resolves when the server is shut down and the last session has ended. Never rejects. */
  readonly finished: Promise<void>;
  /**
   * Serves a connection of any origin under the same options and limits: a {@linkcode
   * Conn}, Web streams (a WebSocket, a TLS or SSH channel) or a `Duplex` of Node.js.
   *
   * The session is exposed unless the client is known to be on loopback and the
   * server itself does not listen beyond loopback. An exposed session is rejected
   * with a `session-rejected` event unless everyone needs a login or `openProxy` is
   * set, and it reaches special-purpose addresses only if the policy allows them. If
   * there is a policy, a client whose address is not known is denied.
   *
   * @throws {TypeError} if `conn` is none of these, or `origin.client` is not an address.
   *
   * @example A server without a listener, for connections that other code accepts
   * ```ts
   * import { type DuplexStreams, serve, userPass } from "@x/socks5/server";
   *
   * await using server = await serve({
   *   listen: false,
   *   auth: [userPass({ alice: "correct horse" })],
   * });
   *
   * function onTunnel(tunnel: DuplexStreams, hostname: string, port: number) {
   *   server.handle(tunnel, { client: { hostname, port } });
   * }
   * console.log(typeof onTunnel);
   * ```
   */
  handle(conn: ConnSource, origin?: Origin): void;
  /**
   * Replaces options without ending a session. Later requests are checked against the
   * new options; a login that has begun continues with the old ones. A group such as
   * `limits` is replaced as a whole; `undefined` restores the default. If it rejects,
   * nothing has changed. Concurrent updates are applied in the order of the calls.
   *
   * @throws {TypeError} if {@linkcode serve} would throw it.
   */
  update(options: ServerUpdate): Promise<void>;
  /**
   * Reports what users have transferred to the usage store now. Resolves when it is counted,
   * when the store has failed, or after some seconds. Does nothing if the server does not count.
   */
  reportUsage(): Promise<void>;
  /**
   * Stops accepting connections, after the drain delay if there is one, waits until the
   * sessions have ended by themselves, and ends the remaining ones after the grace time.
   * May be called again with shorter times. `await using` calls it with the defaults.
   *
   * @example Behind a load balancer that asks for `/health`
   * ```ts
   * import { serve } from "@x/socks5/server";
   *
   * const server = await serve({ port: 0 });
   * let isReady = true; // the answer to /health
   *
   * async function stop() {
   *   isReady = false;
   *   await server.shutdown({ drainDelay: 10, grace: 10_000 }); // usually 10_000 and more
   * }
   * await stop();
   * console.log(isReady); // false
   * ```
   */
  shutdown(options?: ShutdownOptions): Promise<void>;
}
