/**
 * What the person at the command line got wrong.
 *
 * @module
 */

/** A mistake in the arguments; its message is one line and says what to do. */
export class UsageError extends Error {
  /** Always `"UsageError"`. */
  override readonly name = "UsageError";
}
