/**
 * The front end for HTTP: CONNECT (RFC 9110 section 9.3.6), and requests in absolute form
 * (RFC 9112 section 3.2.2), which are forwarded.
 *
 * @module
 */

import { type Decoded, ProtocolError } from "../../protocol/decode.ts";
import { decodeCredentials } from "../../protocol/http_basic.ts";
import {
  decodeRequest as decodeConnect,
  encodeResponse,
  type RequestMessage,
  statusOfReply,
} from "../../protocol/http_connect.ts";
import { statusOfError, textOfError } from "../../protocol/http_error.ts";
import {
  decodeRequest as decodeForward,
  type ForwardRequest,
} from "../../protocol/http_forward_request.ts";
import { headDecoder } from "../../protocol/http_head_decoder.ts";
import { REPLY, replyText } from "../../protocol/reply.ts";
import type {
  ClientRequest,
  Dialect,
  Frontend,
  FrontendContext,
} from "./frontend.ts";
import { authenticate } from "./http_login.ts";
import { Refusal } from "./refusal.ts";

const DIALECT: Dialect = {
  isIPv4Only: false,
  replyNumber: statusOfReply,
  // A response cannot carry the bound address, and CONNECT does not need it.
  encodeReply: (reply) =>
    reply === REPLY.succeeded ? GRANTED : encodeResponse(
      statusOfReply(reply),
      `The proxy could not connect: ${replyText(5, reply)}.\n`,
    ),
};

const GRANTED = encodeResponse(200);

/** HTTP. */
export const HTTP: Frontend = {
  name: "http",
  version: undefined,
  // The methods of HTTP (RFC 9110 section 9) are words in capitals.
  accepts: (firstByte) => firstByte >= 0x41 && firstByte <= 0x5a,
  read,
};

async function read(context: FrontendContext): Promise<ClientRequest> {
  const { reader } = context;
  const request = await reader.read(headDecoder(decodeAny)).catch((error) => {
    throw error instanceof ProtocolError ? refusedRequest(error) : error;
  });
  const login = decodeCredentials(request.authorization ?? "");
  await authenticate(context, login);
  const conn = reader.release();
  const dialect = DIALECT;
  return "path" in request
    ? {
      command: "forward",
      target: request.target,
      conn,
      dialect,
      message: request,
    }
    : { command: "connect", target: request.target!, conn, dialect };
}

const CONNECT = new TextEncoder().encode("CONNECT ");

function decodeAny(
  octets: Uint8Array,
): Decoded<RequestMessage | ForwardRequest> | undefined {
  return CONNECT.every((it, i) => octets[i] === it)
    ? decodeConnect(octets)
    : decodeForward(octets);
}

function refusedRequest(error: ProtocolError): Refusal {
  const status = statusOfError(error);
  const farewell = encodeResponse(status, textOfError(error));
  return new Refusal("protocol-error", error.message, farewell, status);
}
