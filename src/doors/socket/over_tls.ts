/**
 * TLS on the way to a target, and to the target itself.
 *
 * @module
 */

import type { Socket } from "node:net";
import * as tls from "node:tls";
import { toStreamError } from "../../transport/errors.ts";
import {
  checkTexts,
  handshakeError,
  isPinned,
  notPinned,
  start,
} from "../../transport/tls/connect.ts";
import type { TlsClientOptions } from "../../transport/tls_options.ts";
import { boundReading } from "./bound_reading.ts";
import type { Dial } from "./dial.ts";

/** Goes through all proxies of a dial whose next one, if there is any, speaks TLS. */
export async function throughTls(dial: Dial, raw: Socket): Promise<Socket> {
  let socket = raw;
  try {
    for (let hop = dial.next; hop?.tls; hop = dial.next) {
      socket = await secure(dial, socket, hop.tls);
      await shakeHands(dial, socket);
    }
    return socket;
  } catch (error) {
    throw dial.explain(error);
  }
}

type Listeners = Readonly<Record<string, (error: Error) => void>>;

/**
 * Listens to a socket until one of the listeners settles the promise, or the dial is given
 * up.
 */
async function listen(
  dial: Dial,
  socket: Socket,
  listeners: (
    resolve: () => void,
    reject: (error: unknown) => void,
  ) => Listeners,
): Promise<void> {
  let added: Listeners = {};
  try {
    await new Promise<void>((resolve, reject) => {
      dial.socket = { destroy: reject };
      added = listeners(resolve, reject);
      for (const event in added) socket.on(event as "error", added[event]);
    });
  } catch (error) {
    socket.on("error", ignore);
    socket.destroy();
    throw error;
  } finally {
    for (const event in added) socket.off(event as "error", added[event]);
  }
}

/** TLS to a proxy. */
async function secure(
  dial: Dial,
  lower: Socket,
  how: TlsClientOptions,
): Promise<Socket> {
  // Its errors are those of the TLS socket, which reports them as well.
  lower.on("error", ignore);
  const socket = start(lower, { ...how, ...checkTexts(how) });
  await secured(dial, socket);
  boundReading(socket, lower);
  const { fingerprint256: pin } = how;
  if (pin === undefined || isPinned(socket, pin)) return socket;
  socket.destroy();
  throw notPinned();
}

/** TLS to the target. */
export async function secureTarget(
  dial: Dial,
  lower: Socket,
  options: tls.ConnectionOptions,
): Promise<Socket> {
  dial.phase = "target-tls";
  lower.on("error", ignore);
  try {
    // Whatever the options are, the connection is the one through the proxies.
    const socket = tls.connect({ ...options, socket: lower });
    await secured(dial, socket);
    boundReading(socket, lower);
    return socket;
  } catch (error) {
    throw dial.explainTls(error);
  }
}

function secured(dial: Dial, socket: tls.TLSSocket): Promise<void> {
  return listen(dial, socket, (resolve, reject) => {
    const onError = (error: Error) => reject(handshakeError(error));
    return {
      secureConnect: resolve,
      error: onError,
      // Without a `tls.Server`, Node.js reports broken records only by this event.
      _tlsError: onError,
      close: () => reject(handshakeError()),
    };
  });
}

/** Shakes hands over a TLS socket, with the next proxies up to the next one with TLS. */
function shakeHands(dial: Dial, socket: Socket): Promise<void> {
  return listen(dial, socket, (resolve, reject) => {
    socket.write(dial.start());
    const onError = (error: Error) => reject(toStreamError(error));
    const onEnd = () => reject(dial.ended());
    return {
      readable: () => {
        try {
          if (step(dial, socket)) resolve();
        } catch (error) {
          reject(error);
        }
      },
      end: onEnd,
      close: onEnd,
      error: onError,
      _tlsError: onError,
    };
  });
}

/** Reads what has arrived and answers it; returns whether the handshakes are done. */
function step(dial: Dial, socket: Socket): boolean {
  // Once they are, what arrives before the listener is gone is the caller's.
  while (!dial.isGranted) {
    const chunk = socket.read();
    if (chunk === null) return false;
    const message = dial.feed(chunk);
    if (message) socket.write(message);
  }
  const rest = dial.takeRest();
  if (rest) socket.unshift(rest);
  return true;
}

function ignore(): void {}
