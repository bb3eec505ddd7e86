/**
 * The error for a limit that could not be checked.
 *
 * @module
 */

import { NetError } from "../../transport/errors.ts";

/**
 * The store that servers share failed or did not answer. It is treated as a refusal; the
 * store's own error is the `cause`.
 */
export class LimitsError extends NetError {
  /**
   * `kind` is `timeout` or `other`, and never the kind of the cause, which would indicate
   * a failure of the target.
   */
  constructor(kind: "timeout" | "other", message: string, cause?: unknown) {
    super(kind, message, cause);
  }
}
