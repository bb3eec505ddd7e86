/**
 * A connection without a network, for tests of code that reads and writes one.
 *
 * @module
 */

import { closedError } from "../../src/transport/errors.ts";
import type { Conn } from "../../src/transport/transport.ts";

/** A connection, and what was done to it. */
export interface ScriptedConn extends Conn {
  /** Everything that was written. */
  readonly sent: readonly Uint8Array[];
  /** Whether it was closed or reset. */
  readonly closed: boolean;
}

/** A connection that delivers these chunks one by one, and then a FIN. */
export function scriptedConn(...chunks: Uint8Array[]): ScriptedConn {
  const sent: Uint8Array[] = [];
  let closed = false;
  const addr = { hostname: "127.0.0.1", port: 1 };
  return {
    localAddr: addr,
    remoteAddr: addr,
    sent,
    get closed() {
      return closed;
    },
    read: () =>
      closed
        ? Promise.reject(closedError())
        : Promise.resolve(chunks.shift() ?? null),
    unread(chunk) {
      if (chunk.length > 0) chunks.unshift(chunk);
    },
    peek: () => Promise.resolve(chunks.length > 0),
    write(chunk) {
      sent.push(chunk.slice());
      return Promise.resolve();
    },
    closeWrite: () => Promise.resolve(),
    close: () => void (closed = true),
    reset: () => void (closed = true),
  };
}
