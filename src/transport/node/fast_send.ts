/**
 * A faster way to send a datagram on Node.js: `socket.send()` creates a request object
 * for each one, which is a sixth of the cost of a relay. The function that it calls is not
 * public. It is used only if a trial call shows that its parameters are those of Node.js
 * 20 to 26.
 *
 * @module
 */

import type { Socket } from "node:dgram";

/** The state of a datagram that the kernel does not accept at once. */
interface SendRequest {
  list?: readonly Uint8Array[];
}

/**
 * Returns a positive number if the datagram is sent, 0 if it is queued and the request
 * in use, and a negative number if it is lost.
 */
type HandleSend = (
  request: SendRequest,
  list: readonly Uint8Array[],
  length: number,
  port: number,
  hostname: string,
  hasCallback: boolean,
) => number;

interface Handle {
  /** `send` or `send6`, by the socket's IP version. */
  send: HandleSend;
}

/** Sends a datagram of a valid size to an address of the socket's family, or loses it. */
export type FastSend = (
  payload: Uint8Array,
  port: number,
  hostname: string,
) => void;

const TRIAL = { payload: Uint8Array.of(0), port: 9 } as const;

/**
 * Returns the fast way of a bound socket, if there is one. The socket's `lookup` must
 * answer synchronously.
 */
export function fastSend(
  socket: Socket,
  overIPv6: boolean,
): FastSend | undefined {
  const handle = handleOf(socket);
  if (typeof handle?.send !== "function") return undefined;
  const Request = tryOut(socket, handle, overIPv6 ? "::1" : "127.0.0.1");
  if (!Request) return undefined;
  let request = new Request();
  return (payload, port, hostname) => {
    const list = [payload];
    if (handle.send(request, list, 1, port, hostname, false) !== 0) return;
    request.list = list; // so that it is not collected before it is sent
    request = new Request();
  };
}

function handleOf(socket: Socket): Handle | undefined {
  const state = Object.getOwnPropertySymbols(socket)
    .find(({ description }) => description === "state symbol");
  const values = socket as unknown as Record<symbol, { handle?: Handle }>;
  return state && values[state]?.handle;
}

/**
 * Records how `socket.send()` calls the handle, without sending anything. Returns the
 * class of its requests if the call is as expected.
 */
function tryOut(
  socket: Socket,
  handle: Handle,
  hostname: string,
): (new () => SendRequest) | undefined {
  const { send } = handle;
  let given: unknown[] = [];
  const record: HandleSend = (...args) => {
    given = args;
    return TRIAL.payload.length + 1; // sent
  };
  handle.send = record;
  socket.send(TRIAL.payload, TRIAL.port, hostname);
  handle.send = send;
  const [request, list, ...rest] = given as Parameters<HandleSend>;
  const expected = [1, TRIAL.port, hostname, false];
  const isKnown = rest.length === expected.length &&
    rest.every((it, i) => it === expected[i]) &&
    Array.isArray(list) && list.length === 1 &&
    request?.constructor.name === "SendWrap";
  return isKnown ? request.constructor as new () => SendRequest : undefined;
}
