/**
 * Connections given by the caller.
 *
 * @module
 */

import { quietly } from "../transport/quiet.ts";
import { type ConnSource, toConn } from "../transport/streams.ts";
import type { Conn } from "../transport/transport.ts";

/**
 * Returns the connection for the option `conn`.
 *
 * @throws {TypeError} for anything else, after closing it if possible.
 */
export function givenConn(source: ConnSource): Conn {
  try {
    return toConn(source);
  } catch (cause) {
    discard(source);
    throw new TypeError(`conn: ${(cause as Error).message}`, { cause });
  }
}

/** Closes a connection given by the caller that will not be used. */
export function closeGivenConn(source: unknown): void {
  if (source === undefined) return;
  try {
    toConn(source as ConnSource).close();
  } catch {
    discard(source);
  }
}

/** Closes the value if it has a method for that. */
function discard(source: unknown): void {
  const { close, destroy } = (source ?? {}) as Record<string, unknown>;
  const end = [close, destroy].find((it) => typeof it === "function");
  // The caller gets the TypeError, not an error of this call.
  if (end) quietly(() => Reflect.apply(end as () => unknown, source, []));
}
