/**
 * The end of connections that user code may have made: a dialer, an `accept` hook or
 * an authentication method. They must not throw, but one that does must not keep a
 * session from its end, or end the process from a timer.
 *
 * @module
 */

import type { Conn } from "./transport.ts";

/** Closes a connection, whatever that throws. */
export function closeQuietly(conn: Pick<Conn, "close"> | undefined): void {
  try {
    conn?.close();
  } catch {
    // It counts as closed.
  }
}

/** Resets a connection, whatever that throws. */
export function resetQuietly(conn: Pick<Conn, "reset"> | undefined): void {
  try {
    conn?.reset();
  } catch {
    // It counts as closed.
  }
}
