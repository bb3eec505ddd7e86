/**
 * The front end for SOCKS4 and SOCKS4a.
 *
 * @module
 */

import { REPLY, REPLY4, replyText } from "../../protocol/reply.ts";
import { decodeRequest, encodeReply } from "../../protocol/socks4.ts";
import { askIdent, checkUserId } from "../auth/ident.ts";
import { readName } from "../auth/name.ts";
import {
  type ClientRequest,
  commandName,
  type Dialect,
  type Frontend,
  type FrontendContext,
  Refusal,
  refuseBadRequest,
  replyHostname,
} from "./frontend.ts";

const DIALECT: Dialect = {
  replyNumber: (reply) =>
    reply === REPLY.succeeded ? REPLY4.granted : REPLY4.rejected,
  encodeReply: (reply, bound) =>
    encodeReply({
      reply: DIALECT.replyNumber(reply),
      hostname: replyHostname(bound),
      port: bound?.port,
    }),
};

/** SOCKS4 and SOCKS4a. */
export const SOCKS4: Frontend = {
  version: 4,
  accepts: (firstOctet) => firstOctet === 4,
  read,
};

async function read(context: FrontendContext): Promise<ClientRequest> {
  const { reader, settings, session } = context;
  const request = await reader.read(decodeRequest).catch((error) => {
    throw refuseBadRequest(error, DIALECT);
  });
  session.userId = readName(request.userId);
  if (!settings.servesSocks4) {
    const farewell = DIALECT.encodeReply(REPLY.notAllowed);
    const reply = REPLY4.rejected;
    throw new Refusal("no-method", "SOCKS4 has no login", farewell, reply);
  }
  if (settings.socks4) await authenticate(context, request.userId);
  const command = commandName(request.command);
  return {
    command: command === "udp-associate" ? undefined : command,
    target: { hostname: request.hostname, port: request.port },
    conn: reader.release(),
    dialect: DIALECT,
  };
}

async function authenticate(
  context: FrontendContext,
  userId: Uint8Array,
): Promise<void> {
  const { session } = context;
  const reply = await replyToUserId(context, userId);
  session.onAuth(reply === REPLY4.granted);
  if (reply === REPLY4.granted) return;
  const farewell = encodeReply({ reply });
  throw new Refusal("login-failed", replyText(4, reply), farewell, reply);
}

async function replyToUserId(
  { conn, settings: { socks4, transport }, session }: FrontendContext,
  userId: Uint8Array,
): Promise<number> {
  const { userIds, ident } = socks4!;
  const options = ident === true ? {} : ident;
  const ask = () =>
    askIdent(transport, conn, { ...options, signal: session.stopping });
  session.user = session.userId;
  return await checkUserId(userId, { userIds, ident: ident ? ask : undefined });
}
