/**
 * The ending of a session.
 *
 * @module
 */

import { ProtocolError } from "../../protocol/decode.ts";
import { toNetError } from "../../transport/errors.ts";
import type { RelayEnd } from "../../transport/transport.ts";
import type { SessionEndReason } from "../events.ts";
import { LimitsError } from "../limits/limits_error.ts";

/** Why a session ends, and with which error. */
export interface Ending {
  readonly reason: SessionEndReason;
  readonly error?: Error;
}

/** Converts a caught value to an error: a dialer may reject with anything. */
export function errorOf(error: unknown): Error | undefined {
  if (error === undefined || error instanceof Error) return error;
  return toNetError(error);
}

/** The ending of a session after its relay. */
export function endingOf({ reason, side, error }: RelayEnd): Ending {
  switch (reason) {
    case "finished":
    case "idle":
      return { reason };
    case "aborted":
      return { reason: "closed" };
    case "error":
      if (error instanceof LimitsError) return { reason: "closed", error };
      if (side === "b") return { reason: "target-gone", error };
      return {
        reason: error?.cause instanceof ProtocolError
          ? "protocol-error" // a message that the login protects is damaged
          : "client-gone",
        error,
      };
  }
}
