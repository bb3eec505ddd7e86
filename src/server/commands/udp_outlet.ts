/**
 * How the datagrams of an association leave the server.
 *
 * @module
 */

import type { AbortSignalLike } from "../../transport/signal.ts";
import type { DatagramSocket } from "../../transport/transport.ts";
import type { Endpoint } from "../../protocol/address.ts";

/** The route to one target. */
export interface UdpRoute {
  /** The hostname to send to. */
  readonly address: string;
  /** The address that answers come from; `undefined` when only the dialer knows it. */
  readonly source: string | undefined;
  /** Sends to the target. */
  readonly socket: Pick<DatagramSocket, "send">;
}

/** A target, and the address that was used for it before; `""` if there is none. */
export interface RoutedTarget extends Endpoint {
  readonly address: string;
}

/** Finds the routes to the targets of one association. */
export interface UdpOutlet {
  /** The route to a host, if nothing has to be opened, resolved or authorized for it. */
  routeAtOnce(hostname: string): UdpRoute | undefined;
  /**
   * Authorizes the target and finds the route to it; `undefined` if there is
   * none. Never rejects.
   */
  route(
    target: RoutedTarget,
    signal: AbortSignalLike,
  ): Promise<UdpRoute | undefined>;
  /** Closes everything that was opened. Idempotent. */
  close(): void;
}
