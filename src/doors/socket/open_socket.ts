/**
 * The way from a route to an open socket.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Endpoint } from "../../protocol/address.ts";
import { continueOverTls, type TargetTls } from "./continue_over_tls.ts";
import { Dial, type DialBounds } from "./dial.ts";
import type { Route } from "./route.ts";
import { createSocket, openRaw } from "./proxy_socket.ts";

/** How to open a socket. */
export interface OpenOptions extends DialBounds, TargetTls {}

/** Called with the open socket, a `net.Socket` or a `tls.TLSSocket`, or with the error. */
export type OnSocket = (error: Error | undefined, socket?: Socket) => void;

/**
 * Opens a socket to the target, which has been checked. The returned dial can be aborted
 * until `onSocket` is called.
 */
export function openSocket(
  route: Route,
  target: Endpoint,
  options: OpenOptions,
  onSocket: OnSocket,
): Dial {
  const { targetTls, isTlsNext = false } = options;
  const raw = createSocket(route);
  const dial = new Dial(route, target, raw, options);
  openRaw(raw, dial, (error) => {
    if (error) return onSocket(error);
    if (dial.next || targetTls) {
      return void overTls(dial, raw, onSocket, options);
    }
    if (!isTlsNext) dial.end();
    onSocket(undefined, raw);
  });
  return dial;
}

async function overTls(
  dial: Dial,
  raw: Socket,
  onSocket: OnSocket,
  options: OpenOptions,
): Promise<void> {
  let socket: Socket;
  try {
    socket = await continueOverTls(dial, raw, options);
  } catch (error) {
    return onSocket(error as Error);
  }
  onSocket(undefined, socket);
}

/** Applies the time limit of a dial to the handshake of this socket with the target. */
export function limitTls(dial: Dial, secured: TLSSocket): void {
  dial.phase = "target-tls";
  dial.socket = secured;
  const end = () => dial.end();
  secured.once("secureConnect", end).once("close", end);
}
