/**
 * The front end for SOCKS4 and SOCKS4a.
 *
 * @module
 */

import { REPLY, REPLY4, replyText } from "../../protocol/reply.ts";
import { COMMAND, decodeRequest, encodeReply } from "../../protocol/socks4.ts";
import { withSignal } from "../../transport/dial.ts";
import { askIdent } from "../auth/ident.ts";
import type { LoginFailure } from "../auth/method.ts";
import { readName } from "../auth/name.ts";
import { splitSessionWord } from "../auth/session_word.ts";
import { checkUserId, type UserIdChecks } from "../auth/user_id.ts";
import type { Socks4Settings } from "../settings.ts";
import type {
  ClientRequest,
  Dialect,
  Frontend,
  FrontendContext,
} from "./frontend.ts";
import {
  Refusal,
  refuseBadRequest,
  refusedLogin,
  refuseLogin,
} from "./refusal.ts";
import { commandName, replyHostname } from "./socks.ts";

const DIALECT: Dialect = {
  isIPv4Only: true,
  replyNumber: (reply) =>
    reply === REPLY.succeeded ? REPLY4.granted : REPLY4.rejected,
  encodeReply: (reply, bound) =>
    encodeReply({
      reply: DIALECT.replyNumber(reply),
      hostname: replyHostname(bound),
      port: bound?.port,
    }),
};

/** The commands that SOCKS4 has in common with SOCKS5, under the same numbers. */
const COMMANDS: ReadonlySet<number> = new Set(Object.values(COMMAND));

/** SOCKS4 and SOCKS4a. */
export const SOCKS4: Frontend = {
  name: "socks4",
  version: 4,
  accepts: (firstByte) => firstByte === 4,
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
  if (settings.socks4) {
    await authenticate(context, settings.socks4, request.userId);
  }
  return {
    command: COMMANDS.has(request.command)
      ? commandName(request.command)
      : undefined,
    target: { hostname: request.hostname, port: request.port },
    conn: reader.release(),
    dialect: DIALECT,
  };
}

async function authenticate(
  context: FrontendContext,
  socks4: Socks4Settings,
  userId: Uint8Array,
): Promise<void> {
  const { session, settings } = context;
  const isCertified = session.user !== undefined;
  session.user ??= session.userId; // a certificate's name is more than a claim
  let failure: LoginFailure | undefined;
  const onFailure = (it: LoginFailure | undefined) => failure = it;
  const { reply, worded } = await withSignal(
    checkUserId(userId, {
      ...checksOf(context, socks4, onFailure),
      ...settings.sessionWords && { worded: splitSessionWord(userId) },
    }),
    session.stopping,
  ).catch((error) => {
    const reply = REPLY4.rejected;
    throw refuseLogin(error, session, encodeReply({ reply }), reply);
  });
  if (worded && !isCertified) {
    session.user = readName(worded.username);
    session.sessionWord = worded.word;
  }
  session.onAuth(reply === REPLY4.granted);
  if (reply === REPLY4.granted) return;
  const farewell = encodeReply({ reply });
  throw refusedLogin(failure, replyText(4, reply), farewell, reply);
}

function checksOf(
  { conn, settings: { transport }, session }: FrontendContext,
  { userIds, verifier, ident }: Socks4Settings,
  onFailure: (failure: LoginFailure | undefined) => void,
): UserIdChecks {
  const { client, stopping: signal } = session;
  const password = new Uint8Array(0);
  // The client that an `accept` hook reports may differ from the peer.
  const ends = { localAddr: conn.localAddr, remoteAddr: client };
  const source = {
    client,
    get signal() {
      return signal.signal;
    },
  };
  return {
    userIds,
    verify: verifier && (async (username, mayHaveWord) => {
      const login = { username, password };
      const outcome = await verifier.check(login, source, mayHaveWord);
      onFailure(outcome.failure);
      return outcome;
    }),
    ident: ident && (() => askIdent(transport, ends, { ...ident, signal })),
  };
}
