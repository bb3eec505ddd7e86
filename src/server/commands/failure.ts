/**
 * Maps the failure of a command to a reply.
 *
 * @module
 */

import { replyOfStatus } from "../../protocol/http_status.ts";
import { REPLY } from "../../protocol/reply.ts";
import { NetError } from "../../transport/errors.ts";

/**
 * The SOCKS5 reply to a failure (RFC 1928 section 6): the error's own `reply`, if
 * it has one, which may be the status of an HTTP proxy; "command not supported" if its
 * `code` is that of a client whose protocol lacks the command; or the reply for the kind
 * of a `NetError`.
 */
export function replyToFailure(error: unknown): number {
  const { reply, code } = (error ?? {}) as { reply?: unknown; code?: unknown };
  if (isErrorReply(reply)) return reply;
  if (isErrorStatus(reply)) return replyOfStatus(reply);
  if (code === "unsupported") return REPLY.commandNotSupported;
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

/**
 * Whether the value is the number of a SOCKS5 error. The numbers of SOCKS4 (90 to 93) and
 * unassigned numbers are not.
 */
function isErrorReply(reply: unknown): reply is number {
  return Number.isInteger(reply) &&
    (reply as number) >= REPLY.generalFailure &&
    (reply as number) <= REPLY.addressTypeNotSupported;
}

/** Whether the value is a status of HTTP that is an error; no reply of SOCKS is one. */
function isErrorStatus(reply: unknown): reply is number {
  return Number.isInteger(reply) && (reply as number) >= 400 &&
    (reply as number) <= 599;
}
