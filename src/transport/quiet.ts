/**
 * Calls of members that user code may have made: those of a connection or a listener of a
 * dialer, an `accept` hook, an authentication method. They must not throw or reject; one
 * that does must not keep a session from ending, or end the process from a timer.
 *
 * @module
 */

import type { Conn } from "./transport.ts";

/** Calls the function and ignores its errors, including those of a promise. */
export function quietly(call: () => unknown): void {
  try {
    ignoreRejection(call());
  } catch {
    // Nothing is left to be done about it.
  }
}

/** Closes an object, if there is one; never throws. */
export function closeQuietly(it: { close(): unknown } | undefined): void {
  try {
    ignoreRejection(it?.close());
  } catch {
    // It counts as closed.
  }
}

/** Resets a connection, if there is one; never throws. */
export function resetQuietly(it: { reset(): unknown } | undefined): void {
  try {
    ignoreRejection(it?.reset());
  } catch {
    // It counts as closed.
  }
}

/** Enables keepalive on a connection, if it has that; never throws. */
export function keepAliveQuietly(conn: Pick<Conn, "keepAlive">): void {
  try {
    ignoreRejection(conn.keepAlive?.());
  } catch {
    // The connection works without it.
  }
}

/**
 * Puts bytes back to the start of a connection. Throws as its `unread` does. If that
 * returns a promise that rejects, resets the connection: its next read would lack the bytes.
 */
export function putBack(
  conn: Pick<Conn, "unread" | "reset">,
  chunk: Uint8Array,
): void {
  const result: unknown = conn.unread(chunk);
  if (result instanceof Promise) result.catch(() => resetQuietly(conn));
}

function ignoreRejection(result: unknown): void {
  if (result instanceof Promise) result.catch(() => {});
}
