/**
 * Connections for undici.
 *
 * @module
 */

import type { Socket } from "node:net";
import { parseTarget } from "../../client/target.ts";
import type { Endpoint } from "../../protocol/address.ts";
import type { Dial } from "../socket/dial.ts";
import { openSocket } from "../socket/open_socket.ts";
import type { Route } from "../socket/route.ts";

/** The target that undici connects to. */
export interface Origin {
  /** An IPv6 address may be in brackets. */
  readonly hostname: string;
  /** Empty for the default port. */
  readonly port: string;
  readonly protocol: string;
  /** The name for TLS, if it is not the hostname. */
  readonly servername?: string | null;
}

/** Called with a connection or an error. */
export type OnConnected = (error: Error | null, socket: Socket | null) => void;

/** Opens a connection; `secure` starts TLS over it for `https:`, and ends the dial. */
export function openFor(
  route: Route,
  { hostname, port, protocol }: Origin,
  callback: OnConnected,
  secure: (socket: Socket, dial: Dial) => void,
): void {
  const isSecure = protocol === "https:";
  let target: Endpoint;
  try {
    const number = port ? Number(port) : isSecure ? 443 : 80;
    target = parseTarget({ hostname, port: number });
  } catch (error) {
    return queueMicrotask(() => callback(error as Error, null));
  }
  const how = { isTlsNext: isSecure };
  const dial = openSocket(route, target, how, (error, socket) => {
    if (error || !socket) return callback(error ?? null, null);
    socket.setNoDelay(true);
    if (isSecure) secure(socket, dial);
    else callback(null, socket);
  });
}
