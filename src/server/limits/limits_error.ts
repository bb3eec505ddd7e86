/**
 * A limit that could not be checked.
 *
 * @module
 */

import { NetError } from "../../transport/errors.ts";

/**
 * The store that servers share failed or did not answer. Counts as "no"; the
 * store's own error is the `cause`.
 */
export class LimitsError extends NetError {
  /** `kind` is `timeout` or `other`, and never the kind of the cause: the target did not fail. */
  constructor(kind: "timeout" | "other", message: string, cause?: unknown) {
    super(kind, message, cause);
  }
}
