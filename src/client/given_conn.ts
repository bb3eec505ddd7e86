/**
 * Connections that callers bring along.
 *
 * @module
 */

import { type ConnSource, toConn } from "../transport/streams.ts";
import type { Conn } from "../transport/transport.ts";

/**
 * The connection that the option `conn` means.
 *
 * @throws {TypeError} when it is none; it is closed then, if it can be.
 */
export function givenConn(source: ConnSource): Conn {
  try {
    return toConn(source);
  } catch (cause) {
    discard(source);
    throw new TypeError(`conn: ${(cause as Error).message}`, { cause });
  }
}

/** Closes whatever it is. */
function discard(source: unknown): void {
  const { close, destroy } = (source ?? {}) as Record<string, unknown>;
  const end = [close, destroy].find((it) => typeof it === "function");
  try {
    if (end) Reflect.apply(end as () => void, source, []);
  } catch {
    // The TypeError is what the caller needs to know.
  }
}
