/**
 * Other ways to reach targets than directly.
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
  /** Aborted if the command times out or the session ends before the call has settled. */
  readonly signal: AbortSignal;
}

/**
 * Connects to a target in another way than directly. The target has the name or IP
 * address that the client sent. If it rejects with a `NetError`, the client gets the
 * reply for its kind; if the error has a SOCKS5 reply number from 1 to 8 as its
 * `reply`, the client gets that reply; otherwise "general failure".
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
   * Waits for the peer. The second reply carries the connection's `peerAddr`, or its
   * `remoteAddr` if there is none. The signal is aborted in the same cases as that of
   * {@linkcode DialContext}.
   */
  accept(
    options: { readonly signal: AbortSignal; readonly timeout: number },
  ): Promise<Conn & { readonly peerAddr?: Endpoint }>;
  /** Closes the port. Idempotent; an accepted connection stays open. */
  close(): void;
}

/** A path for datagrams that a {@linkcode Dialer} has opened. */
export interface DialedAssociation
  extends AsyncIterable<readonly [payload: Uint8Array, from: Endpoint]> {
  /** Sends a datagram. A rejection means that the datagram is lost. */
  send(payload: Uint8Array, to: Endpoint): Promise<void>;
  /** Ends the association and the iteration. Idempotent. */
  close(): void;
}

/**
 * Another way to the targets for all commands, for example the object that `socks()`
 * of the client returns. A command whose method is missing gets the reply "command not
 * supported": nothing bypasses the dialer.
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
 */
export interface Dialer {
  /** For CONNECT. */
  connect(target: Endpoint, context: DialContext): Promise<Conn>;
  /** For BIND. `peer` is the expected peer; its hostname is `0.0.0.0` or `::` for any peer. */
  bind?(peer: Endpoint, context: DialContext): Promise<DialedListener>;
  /** For UDP ASSOCIATE. */
  udpAssociate?(context: DialContext): Promise<DialedAssociation>;
}
