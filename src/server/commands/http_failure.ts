/**
 * The responses to HTTP requests that a target did not answer.
 *
 * @module
 */

import { ProtocolError } from "../../protocol/decode.ts";
import { encodeResponse } from "../../protocol/http_connect.ts";
import { statusOfError, textOfError } from "../../protocol/http_error.ts";
import { REPLY } from "../../protocol/reply.ts";
import type { ClientRequest, Dialect } from "../frontends/frontend.ts";
import type { CommandSession } from "./command.ts";
import type { Ending } from "./ending.ts";

/** The side that ended an exchange, and why; `idle` if neither did. */
export interface Failure {
  readonly side: "client" | "target" | "idle";
  readonly error: Error;
}

/** The end of a session whose response was cut off. */
export function endingOf({ side, error }: Failure): Ending {
  if (side === "idle") return { reason: "idle" };
  if (side === "target") return { reason: "target-gone", error };
  const reason = error instanceof ProtocolError
    ? "protocol-error"
    : "client-gone";
  return { reason, error };
}

/** Sends the response of the proxy, unless the client has gone. */
export async function refuseExchange(
  session: CommandSession,
  request: ClientRequest,
  { side, error }: Failure,
): Promise<Ending> {
  if (side !== "client") {
    const [status, text] = side === "idle"
      ? [504, "The target did not answer in time.\n"]
      : [502, `The target sent no valid response: ${error.message}.\n`];
    return await refuse(session, request, error, status, text);
  }
  if (!(error instanceof ProtocolError)) {
    return { reason: "client-gone", error };
  }
  const status = statusOfError(error);
  await refuse(session, request, error, status, textOfError(error));
  return { reason: "protocol-error", error };
}

function refuse(
  session: CommandSession,
  request: ClientRequest,
  error: Error,
  status: number,
  text: string,
): Promise<Ending> {
  const dialect: Dialect = {
    isIPv4Only: false,
    replyNumber: () => status,
    encodeReply: () => encodeResponse(status, text),
  };
  return session.refuse({ ...request, dialect }, REPLY.generalFailure, error);
}
