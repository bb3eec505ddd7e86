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
  let cause: unknown;
  try {
    const conn = toConn(source);
    if (isConn(conn)) return conn;
  } catch (error) {
    cause = error;
  }
  discard(source);
  const reason = cause instanceof Error ? `: ${cause.message}` : "";
  throw new TypeError(
    `conn must be a Conn or streams { readable, writable }${reason}`,
    { cause },
  );
}

/** Not all members, but enough to tell a connection from an options object. */
function isConn(conn: Partial<Conn> | undefined): boolean {
  const members = [conn?.read, conn?.unread, conn?.write, conn?.close];
  return members.every((it) => typeof it === "function");
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
