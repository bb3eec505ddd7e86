/**
 * The front end for SOCKS5 (RFC 1928).
 *
 * @module
 */

import type { DatagramWrapper } from "../../protocol/datagram.ts";
import {
  decodeGreeting,
  decodeRequest,
  encodeMethodChoice,
  encodeReply,
  METHOD,
} from "../../protocol/socks5.ts";
import { withSignal } from "../../transport/dial.ts";
import { ConnExchange } from "../../transport/exchange.ts";
import { MessageReader } from "../../transport/message_reader.ts";
import { closeQuietly } from "../../transport/quiet.ts";
import type { Address } from "../../transport/transport.ts";
import type { AuthExchange, AuthMethod, AuthResult } from "../auth/method.ts";
import type {
  ClientRequest,
  Dialect,
  Frontend,
  FrontendContext,
  HandshakeSession,
} from "./frontend.ts";
import {
  Refusal,
  refuseBadRequest,
  refusedLogin,
  refuseLogin,
} from "./refusal.ts";
import { commandName, replyHostname } from "./socks.ts";

const DIALECT: Dialect = {
  isIPv4Only: false,
  replyNumber: (reply) => reply,
  encodeReply: (reply, bound) =>
    encodeReply({ reply, hostname: replyHostname(bound), port: bound?.port }),
};

/** SOCKS5. */
export const SOCKS5: Frontend = {
  name: "socks5",
  version: 5,
  accepts: (firstByte) => firstByte === 5,
  read,
};

async function read(context: FrontendContext): Promise<ClientRequest> {
  const { conn, reader, settings, session } = context;
  const { methods } = reader.take(decodeGreeting) ??
    await reader.read(decodeGreeting);
  const method = chooseMethod(methods, settings.auth);
  await conn.write(encodeMethodChoice(method.number));
  session.method = method.name;
  let datagrams: DatagramWrapper | undefined;
  if (method.negotiate) datagrams = await authenticate(method, context);
  else session.onAuth(true);
  const { wrapped } = session;
  const inner = wrapped ? new MessageReader(wrapped) : reader;
  try {
    const { command, hostname, port } = await inner.read(decodeRequest);
    return {
      command: commandName(command),
      target: { hostname, port },
      conn: inner.release(),
      datagrams,
      dialect: DIALECT,
    };
  } catch (error) {
    throw refuseBadRequest(error, DIALECT);
  }
}

function chooseMethod(
  offered: Uint8Array,
  served: readonly AuthMethod[],
): AuthMethod {
  for (const method of served) {
    if (offered.includes(method.number)) return method;
  }
  const farewell = encodeMethodChoice(METHOD.unacceptable);
  const list = offered.length > 0 ? offered.join(", ") : "none";
  const why = `no acceptable method among those offered: ${list}`;
  throw new Refusal("no-method", why, farewell);
}

async function authenticate(
  method: AuthMethod,
  { conn, reader, settings, session }: FrontendContext,
): Promise<DatagramWrapper | undefined> {
  const { sessionWords } = settings;
  const exchange = new ServerExchange(session, sessionWords, conn, reader);
  const result = await withSignal(
    negotiate(method, exchange),
    session.stopping,
    (late) => closeQuietly(late.conn),
  ).catch((error) => {
    throw refuseLogin(error, session);
  });
  session.user = result.user ?? session.user;
  session.sessionWord = result.sessionWord;
  session.onAuth(result.ok);
  session.wrapped = result.conn;
  if (result.ok) return result.datagrams;
  const { failure, farewell } = result;
  throw refusedLogin(failure, "the login failed", farewell);
}

/** Also rejects if the method throws or returns an invalid result. */
async function negotiate(
  method: AuthMethod,
  exchange: AuthExchange,
): Promise<AuthResult> {
  const result = await method.negotiate!(exchange);
  if (typeof result?.ok === "boolean") return result;
  throw new TypeError("negotiate() must resolve with { ok: true or false }");
}

class ServerExchange extends ConnExchange implements AuthExchange {
  readonly #session: HandshakeSession;

  readonly sessionWords: boolean;

  constructor(
    session: HandshakeSession,
    sessionWords: boolean,
    ...connection: ConstructorParameters<typeof ConnExchange>
  ) {
    super(...connection);
    this.#session = session;
    this.sessionWords = sessionWords;
  }

  get client(): Address {
    return this.#session.client;
  }

  get signal(): AbortSignal {
    return this.#session.stopping.signal;
  }
}
