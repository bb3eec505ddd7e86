/**
 * From a client's first octet to its request, whatever the version.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { ProtocolError } from "../protocol/decode.ts";
import { REPLY, REPLY4, replyText } from "../protocol/reply.ts";
import * as socks4 from "../protocol/socks4.ts";
import * as socks5 from "../protocol/socks5.ts";
import { withSignal } from "../transport/dial.ts";
import { MessageReader } from "../transport/message_reader.ts";
import type { Address, Conn } from "../transport/transport.ts";
import { NetError } from "../transport/errors.ts";
import type { AbortSignalLike } from "../transport/signal.ts";
import type { AuthExchange, AuthMethod } from "./auth/auth.ts";
import type { CommandName, SessionEndReason } from "./events.ts";
import { askIdent, checkUserId } from "./auth/ident.ts";
import { readName } from "./auth/name.ts";
import type { Settings } from "./settings.ts";

/** A complete request. */
export interface ClientRequest {
  /** `undefined` when the number names none. */
  readonly command: CommandName | undefined;
  readonly target: Endpoint;
  /** The connection, with the octets behind the request unread. */
  readonly conn: Conn;
  /** How to answer in the client's version. */
  readonly dialect: Dialect;
}

/** The replies of one version. */
export interface Dialect {
  /** The number that means this SOCKS5 reply. */
  replyNumber(reply: number): number;
  /** The octets of a reply, given its SOCKS5 number. */
  encodeReply(reply: number, bound?: Address): Uint8Array;
}

/** What a reply can say: no zone (`fe80::1%eth0`, on Node.js), which means nothing to other machines, and nothing of a socket that has gone. */
function sayable(bound: Address | undefined): string | undefined {
  const hostname = bound?.hostname || undefined;
  return hostname?.includes("%") ? hostname.split("%", 1)[0] : hostname;
}

const DIALECT5: Dialect = {
  replyNumber: (reply) => reply,
  encodeReply: (reply, bound) =>
    socks5.encodeReply({
      reply,
      hostname: sayable(bound),
      port: bound?.port,
    }),
};

const DIALECT4: Dialect = {
  replyNumber: (reply) =>
    reply === REPLY.succeeded ? REPLY4.granted : REPLY4.rejected,
  encodeReply: (reply, bound) =>
    socks4.encodeReply({
      reply: DIALECT4.replyNumber(reply),
      hostname: sayable(bound),
      port: bound?.port,
    }),
};

/** What a handshake finds out on its way, for whoever watches the session. */
export interface HandshakeNotes {
  version?: 4 | 5;
  method?: string;
  user?: string;
  userId?: string;
  /** The connection as the login has wrapped it. */
  wrapped?: Conn;
  /** Fires when the session is stopped. */
  readonly stopping: AbortSignalLike;
  /** Called when a method was negotiated. */
  onAuth(ok: boolean): void;
}

/** The handshake ends here: some octets (perhaps none) to say so, then the connection is closed. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(
    readonly reason: SessionEndReason,
    message: string,
    readonly farewell?: Uint8Array,
    /** What the farewell says, if it is a reply to a request. */
    readonly reply?: number,
  ) {
    super(message);
  }
}

/** The version that a client's first octet says; rejects as {@linkcode readRequest} does. */
export function readVersion(reader: MessageReader): Promise<4 | 5> {
  return reader.read(peekVersion);
}

/**
 * Reads the request, and all before it, of a client whose version is noted.
 * Rejects with a {@linkcode Refusal} or with the connection's `NetError`.
 */
export function readRequest(
  conn: Conn,
  reader: MessageReader,
  settings: Settings,
  notes: HandshakeNotes,
): Promise<ClientRequest> {
  return notes.version === 4
    ? readSocks4(conn, reader, settings, notes)
    : readSocks5(conn, reader, settings, notes);
}

function peekVersion(octets: Uint8Array): { value: 4 | 5; size: number } {
  const version = octets[0];
  if (version === 4 || version === 5) return { value: version, size: 0 };
  throw new Refusal("protocol-error", `no SOCKS version: ${version}`);
}

const COMMAND_NAMES: readonly (CommandName | undefined)[] = [
  undefined,
  "connect",
  "bind",
  "udp-associate",
];

async function readSocks5(
  conn: Conn,
  reader: MessageReader,
  settings: Settings,
  notes: HandshakeNotes,
): Promise<ClientRequest> {
  const { methods } = reader.take(socks5.decodeGreeting) ??
    await reader.read(socks5.decodeGreeting);
  const method = chooseMethod(methods, settings.auth);
  await conn.write(socks5.encodeMethodChoice(method.number));
  notes.method = method.name;
  if (method.negotiate) await authenticate(method, conn, reader, notes);
  else notes.onAuth(true);
  const inner = notes.wrapped ? new MessageReader(notes.wrapped) : reader;
  try {
    const { command, hostname, port } = await inner.read(socks5.decodeRequest);
    return {
      command: COMMAND_NAMES[command],
      target: { hostname, port },
      conn: inner.release(),
      dialect: DIALECT5,
    };
  } catch (error) {
    throw refusal(error, DIALECT5);
  }
}

function chooseMethod(
  offered: Uint8Array,
  served: readonly AuthMethod[],
): AuthMethod {
  for (const method of served) {
    if (offered.includes(method.number)) return method;
  }
  const farewell = socks5.encodeMethodChoice(socks5.METHOD.unacceptable);
  const list = offered.length > 0 ? offered.join(", ") : "none";
  const why = `no acceptable method among those offered: ${list}`;
  throw new Refusal("no-method", why, farewell);
}

async function authenticate(
  method: AuthMethod,
  conn: Conn,
  reader: MessageReader,
  notes: HandshakeNotes,
): Promise<void> {
  const exchange: AuthExchange = {
    client: conn.remoteAddr,
    get signal() {
      return notes.stopping;
    },
    read: (decode) => reader.read(decode),
    write: (octets) => conn.write(octets),
  };
  const result = await withSignal(
    method.negotiate!(exchange),
    notes.stopping,
    (late) => late.conn?.close(),
  ).catch((error) => loginFailed(error, notes));
  notes.user = result.user;
  notes.onAuth(result.ok);
  if (result.ok) return void (notes.wrapped = result.conn);
  throw new Refusal("login-failed", "the login failed", result.farewell);
}

/** A method may reject with whatever it met; a broken connection stays what it is. */
function loginFailed(error: unknown, notes: HandshakeNotes): never {
  if (error instanceof NetError) throw error;
  notes.onAuth(false);
  throw new Refusal("login-failed", `the login failed: ${error}`);
}

async function readSocks4(
  conn: Conn,
  reader: MessageReader,
  settings: Settings,
  notes: HandshakeNotes,
): Promise<ClientRequest> {
  const request = await reader.read(socks4.decodeRequest)
    .catch((error) => {
      throw refusal(error, DIALECT4);
    });
  notes.userId = readName(request.userId);
  if (!settings.servesSocks4) {
    const farewell = DIALECT4.encodeReply(REPLY.notAllowed);
    const reply = REPLY4.rejected;
    throw new Refusal("no-method", "SOCKS4 has no login", farewell, reply);
  }
  if (settings.socks4) {
    const reply = await checkSocks4(request.userId, conn, settings, notes);
    notes.onAuth(reply === REPLY4.granted);
    if (reply !== REPLY4.granted) {
      const farewell = socks4.encodeReply({ reply });
      throw new Refusal("login-failed", replyText(4, reply), farewell, reply);
    }
  }
  const command = COMMAND_NAMES[request.command];
  return {
    command: command === "udp-associate" ? undefined : command,
    target: { hostname: request.hostname, port: request.port },
    conn: reader.release(),
    dialect: DIALECT4,
  };
}

/** The reply code that a user id gets. */
async function checkSocks4(
  userId: Uint8Array,
  conn: Conn,
  { socks4, transport }: Settings,
  notes: HandshakeNotes,
): Promise<number> {
  const { userIds, ident } = socks4!;
  const where = ident === true ? {} : ident;
  const ask = () =>
    askIdent(transport, conn, { ...where, signal: notes.stopping });
  notes.user = notes.userId;
  return await checkUserId(userId, { userIds, ident: ident ? ask : undefined });
}

/** What a decoder complains of, as a refusal with its answer; other errors stay what they are. */
function refusal(error: unknown, dialect: Dialect): unknown {
  if (!(error instanceof ProtocolError)) return error;
  const reply = replyToBadRequest(error);
  const farewell = dialect.encodeReply(reply);
  const number = dialect.replyNumber(reply);
  return new Refusal("protocol-error", error.message, farewell, number);
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
