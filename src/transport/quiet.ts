/**
 * The end of connections and other objects that user code may have made: a dialer, an
 * `accept` hook or an authentication method. They must not throw, but one that does
 * must not keep a session from its end, or end the process from a timer.
 *
 * @module
 */

/** Closes an object, whatever that throws, at once or by a promise of untyped code. */
export function closeQuietly(it: { close(): unknown } | undefined): void {
  try {
    ignoreRejection(it?.close());
  } catch {
    // It counts as closed.
  }
}

/** Resets a connection, in the same way. */
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
