/**
 * Another way out: how targets are reached if not directly.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { Conn } from "../transport/transport.ts";
import type { Session } from "./events.ts";

/** The circumstances of a call of a {@linkcode Dialer}. */
export interface DialContext {
  /** The session that asks; `session.user` is its authenticated user. */
  readonly session: Session;
  /** Aborted when the timeout of the command is over or the session ends. */
  readonly signal: AbortSignal;
}

/**
 * Connects to a target in another way than directly: its name or IP address is
 * the one that the client sent. A rejection with a `NetError` gets the reply of
 * its kind, an error with a SOCKS5 reply number from 1 to 8 as its `reply` gets
 * that one, and any other error "general failure".
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
  /** Where the peer is to connect to: the address of the first reply to BIND. */
  readonly addr: Endpoint;
  /**
   * Waits for the peer. The connection's `peerAddr`, or else its `remoteAddr`,
   * is the address of the second reply. The signal is aborted as that of
   * {@linkcode DialContext}.
   */
  accept(
    options: { readonly signal: AbortSignal; readonly timeout: number },
  ): Promise<Conn & { readonly peerAddr?: Endpoint }>;
  /** Gives the port back. Idempotent; an accepted connection lives on. */
  close(): void;
}

/** A way for datagrams that a {@linkcode Dialer} has opened. */
export interface DialedAssociation
  extends AsyncIterable<readonly [payload: Uint8Array, from: Endpoint]> {
  /** Sends a datagram. A rejection means that it is lost. */
  send(payload: Uint8Array, to: Endpoint): Promise<void>;
  /** Ends the association and the iteration. Idempotent. */
  close(): void;
}

/**
 * Another way out for all commands. The object that `socks()` of the client
 * returns is one. A command whose method is missing gets "command not
 * supported": nothing goes around the dialer.
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
  /** For BIND; `peer` is the expected peer, with `0.0.0.0` or `::` for anyone. */
  bind?(peer: Endpoint, context: DialContext): Promise<DialedListener>;
  /** For UDP ASSOCIATE. */
  udpAssociate?(context: DialContext): Promise<DialedAssociation>;
}
