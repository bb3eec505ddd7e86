/**
 * The error for wrong arguments and configurations.
 *
 * @module
 */

/** A mistake in the arguments. Its message is one line and says how to correct it. */
export class UsageError extends Error {
  /** Always `"UsageError"`. */
  override readonly name = "UsageError";
}
