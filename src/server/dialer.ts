/**
 * Ways to reach targets other than direct connections.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { Conn } from "../transport/transport.ts";
import type { Session } from "./events.ts";

/** The context of a call of a {@linkcode Dialer}. */
export interface DialContext {
  /** The session of the request; `session.user` is its authenticated user. */
  readonly session: Session;
  /**
   * Aborted if the command times out or the session ends before the call has
   * settled. A later result is closed.
   */
  readonly signal: AbortSignal;
}

/**
 * Connects to a target in place of a direct connection, for example through another
 * proxy. The target has the name or IP address that the client sent: names are not
 * resolved first.
 *
 * A rejection becomes the reply to the client: an error with a SOCKS5 reply number
 * from 1 to 8 as its `reply` gets that reply (the error of an upstream proxy has
 * one), or the closest one if its `reply` is an HTTP status from 400 to 599; one with
 * the code `unsupported` gets "command not supported", a `NetError` the reply for its
 * kind, and any other error "general failure". SOCKS4 has only one error, 5B.
 *
 * @example Through another proxy
 * ```ts
 * import { connect } from "@x/socks5/client";
 * import { type Dial, serve } from "@x/socks5/server";
 *
 * await using upstream = await serve({ port: 0 });
 * const url = `socks5h://127.0.0.1:${upstream.addr.port}`;
 * const dial: Dial = (target, { signal }) => connect(url, target, { signal });
 * await using server = await serve({ port: 0, dial });
 * ```
 */
export type Dial = (target: Endpoint, context: DialContext) => Promise<Conn>;

/** A port that a {@linkcode Dialer} has opened for one peer. */
export interface DialedListener {
  /** Where the peer has to connect: the address of the first reply to BIND. */
  readonly addr: Endpoint;
  /**
   * Waits for the peer, for `timeout` milliseconds at most; 0 means no limit. The
   * signal is aborted in the same cases as that of {@linkcode DialContext}.
   *
   * The second reply carries the connection's `peerAddr`, or its `remoteAddr` if
   * there is none. If that is an IP address, it must be the one of the expected
   * peer; if any peer may connect, the policy is asked about it. Any other peer is
   * reset, and the client gets "not allowed".
   */
  accept(
    options: { readonly signal: AbortSignal; readonly timeout: number },
  ): Promise<Conn & { readonly peerAddr?: Endpoint }>;
  /** Closes the port. Idempotent; an accepted connection stays open. */
  close(): void;
}

/**
 * An association that a {@linkcode Dialer} has opened. It yields the datagrams of
 * targets. The client's association ends with the iteration: with the reason
 * `target-gone` if the iteration throws, and otherwise `finished`.
 *
 * Datagrams are dropped unless their sender has the address of a target that the
 * client has sent to, or the client has sent to a name, whose addresses the server
 * does not know.
 */
export interface DialedAssociation
  extends AsyncIterable<readonly [payload: Uint8Array, from: Endpoint]> {
  /**
   * Sends a datagram; it is dropped if the promise rejects. Datagrams are also
   * dropped while 256 KiB wait for promises to settle.
   */
  send(payload: Uint8Array, to: Endpoint): Promise<void>;
  /** Ends the association and the iteration. Idempotent. */
  close(): void;
}

/**
 * Reaches the targets of all commands, for example the object that the client's `socks()`
 * returns. A command whose method is missing gets the reply "command not supported":
 * nothing bypasses the dialer.
 *
 * The policy applies as without a dialer, except that names are not resolved unless
 * {@linkcode Dialer.resolvesNames} is `false`: it decides by the names alone, and the proxy
 * by their addresses. By default, exposed sessions are denied `localhost` and the names below
 * it, because the dialer may reach this machine. Errors become replies as those of a
 * {@linkcode Dial} function.
 *
 * @example All commands through another proxy
 * ```ts
 * import { socks } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using upstream = await serve({ port: 0 });
 * const dial = socks(`socks5h://127.0.0.1:${upstream.addr.port}`);
 * await using server = await serve({ port: 0, dial });
 * ```
 *
 * @example Direct connections for one user, and nothing else
 * ```ts
 * import { type Dialer, serve } from "@x/socks5/server";
 * import { detectTransport, NetError } from "@x/socks5/transport";
 *
 * const transport = await detectTransport();
 * const dial: Dialer = {
 *   async connect({ hostname, port }, { session, signal }) {
 *     if (session.user !== "alice") throw new NetError("denied");
 *     const [address] = await transport.lookup(hostname, signal);
 *     return await transport.connect({ hostname: address, port, signal });
 *   },
 * };
 * await using server = await serve({ port: 0, dial });
 * ```
 */
export interface Dialer {
  /**
   * Whether the dialer, or the proxy behind it, resolves names. If not, the server does: it
   * asks the policy about each address, as for direct connections, and passes on an allowed
   * address in place of the name.
   *
   * @default {true}
   */
  readonly resolvesNames?: boolean;
  /** For CONNECT. */
  connect(target: Endpoint, context: DialContext): Promise<Conn>;
  /** For BIND. `peer` is the expected peer; its hostname is `0.0.0.0` or `::` for any peer. */
  bind?(peer: Endpoint, context: DialContext): Promise<DialedListener>;
  /**
   * For UDP ASSOCIATE. Called once for each association of a client, before the reply, so
   * that a failure is reported to the client.
   */
  udpAssociate?(context: DialContext): Promise<DialedAssociation>;
  /**
   * For RESOLVE, if the server's option `resolve` is set: returns an IP address of a
   * name. The policy is asked about that address as well.
   */
  resolve?(hostname: string, context: DialContext): Promise<string>;
  /** For RESOLVE_PTR, likewise: returns the name of an IP address. */
  reverse?(address: string, context: DialContext): Promise<string>;
}
