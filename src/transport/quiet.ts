/**
 * The end of connections and other objects that user code may have made: a dialer, an
 * `accept` hook, an authentication method. They must not throw or reject; one that does
 * must not keep a session from its end, or end the process from a timer.
 *
 * @module
 */

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

function ignoreRejection(result: unknown): void {
  if (result instanceof Promise) result.catch(() => {});
}
