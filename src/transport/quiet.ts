/**
 * Closing connections of users, whose methods may throw or reject although they should
 * not: nothing is left to be done about it, and it must not end the process.
 *
 * @module
 */

import type { Conn } from "./transport.ts";

/** Calls the function and ignores its errors, those of a promise included. */
export function quietly(call: () => unknown): void {
  try {
    ignore(call());
  } catch {
    // See above.
  }
}

/** Closes a connection, a socket or the like; never throws. */
export function closeQuietly(it: Pick<Conn, "close">): void {
  try {
    ignore(it.close());
  } catch {
    // See above.
  }
}

/** Resets a connection; never throws. */
export function resetQuietly(it: Pick<Conn, "reset">): void {
  try {
    ignore(it.reset());
  } catch {
    // See above.
  }
}

function ignore(outcome: unknown): void {
  if (outcome instanceof Promise) outcome.catch(() => {});
}
