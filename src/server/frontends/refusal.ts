/**
 * The end of a handshake without a valid request.
 *
 * @module
 */

import { ProtocolError } from "../../protocol/decode.ts";
import { REPLY } from "../../protocol/reply.ts";
import { NetError } from "../../transport/errors.ts";
import type { LoginFailure } from "../auth/method.ts";
import type { SessionEndReason } from "../events.ts";
import type { Dialect, HandshakeSession } from "./frontend.ts";

/** Ends a handshake: the session sends the farewell, if there is one, and closes the connection. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly reason: SessionEndReason;
  readonly farewell: Uint8Array | undefined;
  /** The number of the farewell, if it is the reply to a request. */
  readonly reply: number | undefined;

  constructor(
    reason: SessionEndReason,
    message: string,
    farewell?: Uint8Array,
    reply?: number,
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.farewell = farewell;
    this.reply = reply;
  }
}

/** The {@linkcode Refusal} of a login that is wrong, or refused for another reason. */
export function refusedLogin(
  failure: LoginFailure | undefined,
  message: string,
  farewell?: Uint8Array,
  reply?: number,
): Refusal {
  if (failure?.kind === "locked-out") {
    const why = "locked out after too many failed logins";
    return new Refusal("login-failed", why, farewell, reply);
  }
  if (failure?.kind === "not-verified") {
    const { cause } = failure;
    const why = "the login could not be verified" +
      (cause ? `: ${cause.message}` : "");
    return new Refusal("login-error", why, farewell, reply, cause);
  }
  const { cause } = failure ?? {};
  const why = cause ? `${message}: ${cause.message}` : message;
  return new Refusal("login-failed", why, farewell, reply, cause);
}

/**
 * The {@linkcode Refusal} of a login that ends with an error, which may be
 * anything; the error of a broken connection is returned unchanged. Only a
 * `ProtocolError` is the fault of the client.
 */
export function refuseLogin(
  error: unknown,
  session: HandshakeSession,
  farewell?: Uint8Array,
  reply?: number,
): unknown {
  if (error instanceof NetError) return error;
  session.onAuth(false);
  const message = `the login failed: ${error}`;
  const reason = error instanceof ProtocolError
    ? "login-failed"
    : "login-error";
  return new Refusal(reason, message, farewell, reply, error);
}

/**
 * The {@linkcode Refusal} of a request that cannot be decoded, or whose wrapped
 * message is broken; other errors are returned unchanged.
 */
export function refuseBadRequest(error: unknown, dialect: Dialect): unknown {
  const cause = error instanceof NetError ? error.cause : error;
  if (!(cause instanceof ProtocolError)) return error;
  const reply = replyToBadRequest(cause);
  const farewell = dialect.encodeReply(reply);
  const number = dialect.replyNumber(reply);
  return new Refusal("protocol-error", cause.message, farewell, number);
}

function replyToBadRequest(error: ProtocolError): number {
  switch (error.code) {
    case "address-type":
      return REPLY.addressTypeNotSupported;
    case "hostname":
      return REPLY.hostUnreachable;
    default:
      return REPLY.generalFailure;
  }
}
