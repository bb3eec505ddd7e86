/**
 * What a client is told when something fails.
 *
 * @module
 */

import { REPLY } from "../../protocol/reply.ts";
import { NetError } from "../../transport/errors.ts";

/** The reply that a failure to reach the target has (RFC 1928 section 6). */
export function replyToFailure(error: unknown): number {
  if (!(error instanceof NetError)) return REPLY.generalFailure;
  switch (error.kind) {
    case "refused":
    case "reset":
      return REPLY.connectionRefused;
    case "net-unreachable":
      return REPLY.networkUnreachable;
    case "host-unreachable":
    case "timeout":
    case "dns":
      return REPLY.hostUnreachable;
    case "denied":
      return REPLY.notAllowed;
    default:
      return REPLY.generalFailure;
  }
}
