/**
 * Waits for a limit that is checked elsewhere.
 *
 * @module
 */

import type { Clock } from "../../transport/clock.ts";
import { withSignal } from "../../transport/dial.ts";
import { type AbortSignalLike, AbortSwitch } from "../../transport/signal.ts";
import { LimitsError } from "./limits_error.ts";

/** How long to wait for an answer. */
export interface Wait<T> {
  readonly clock: Clock;
  /** In milliseconds; 0 means no limit. */
  readonly timeout: number;
  /** Ends the wait. */
  readonly signal: AbortSignalLike;
  /** The name in error messages. @default {"the shared limits store"} */
  readonly from?: string;
  /** Called with an answer that arrives after the end of the wait. */
  readonly discard?: (late: T) => void;
}

/**
 * Resolves with the answer if it arrives in time. Rejects with the error of the answer,
 * with the reason of the signal, or with a {@linkcode LimitsError} of kind `timeout`.
 */
export async function answerInTime<T>(
  answer: Promise<T>,
  { clock, timeout, signal, from = "the shared limits store", discard }: Wait<
    T
  >,
): Promise<T> {
  const late = new AbortSwitch();
  const timer = clock.startTimeout(timeout, () => {
    const text = `${from} did not answer in ${timeout} ms`;
    late.abort(new LimitsError("timeout", text));
  });
  const onAbort = () => late.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort);
  try {
    return await withSignal(answer, late, discard);
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", onAbort);
  }
}
