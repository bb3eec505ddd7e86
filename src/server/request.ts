/**
 * From a client's first octet to its request, whatever the version.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { ProtocolError } from "../protocol/decode.ts";
import { REPLY, REPLY4 } from "../protocol/reply.ts";
import * as socks4 from "../protocol/socks4.ts";
import * as socks5 from "../protocol/socks5.ts";
import { MessageReader } from "../transport/message_reader.ts";
import { type Address, type Conn, NetError } from "../transport/transport.ts";
import type { AuthMethod } from "./auth.ts";
import type { CommandName, SessionEndReason } from "./events.ts";
import type { Settings } from "./options.ts";

/** A complete request. */
export interface ClientRequest {
  /** `undefined` when the number names none. */
  readonly command: CommandName | undefined;
  readonly target: Endpoint;
  /** The connection, with the octets behind the request unread. */
  readonly conn: Conn;
  /** The number that means this SOCKS5 reply in the client's version. */
  replyNumber(reply: number): number;
  /** The octets of a reply. */
  encodeReply(reply: number, bound?: Address): Uint8Array;
}

/** What a handshake finds out on its way, for whoever watches the session. */
export interface HandshakeNotes {
  version?: 4 | 5;
  method?: string;
  user?: string;
  userId?: string;
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
  ) {
    super(message);
  }
}

/**
 * Reads up to and including the request. Rejects with a {@linkcode Refusal} or
 * with the connection's `NetError`.
 */
export async function readRequest(
  conn: Conn,
  settings: Settings,
  notes: HandshakeNotes,
): Promise<ClientRequest> {
  const reader = new MessageReader(conn);
  const version = await reader.read(peekVersion);
  notes.version = version;
  return version === 5
    ? await readSocks5(conn, reader, settings, notes)
    : await readSocks4(reader, settings, notes);
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
  const { methods } = await reader.read(socks5.decodeGreeting);
  const method = settings.auth.find(({ number }) => methods.includes(number));
  if (!method) {
    const farewell = socks5.encodeMethodChoice(socks5.METHOD.unacceptable);
    const offered = methods.length > 0 ? methods.join(", ") : "none";
    const why = `no acceptable method among those offered: ${offered}`;
    throw new Refusal("no-method", why, farewell);
  }
  await conn.write(socks5.encodeMethodChoice(method.number));
  const wrapped = await authenticate(method, conn, reader, notes);
  const inner = wrapped ? new MessageReader(wrapped) : reader;
  const request = await refusing(
    inner.read(socks5.decodeRequest),
    (error) => encodeReply5(replyToBadRequest(error)),
  );
  const { command, ...target } = request;
  return {
    command: COMMAND_NAMES[command],
    target,
    conn: inner.release(),
    replyNumber: (reply) => reply,
    encodeReply: encodeReply5,
  };
}

async function authenticate(
  method: AuthMethod,
  conn: Conn,
  reader: MessageReader,
  notes: HandshakeNotes,
): Promise<Conn | undefined> {
  notes.method = method.name;
  const result = await method.negotiate({
    client: conn.remote,
    read: (decode) => reader.read(decode),
    write: (octets) => conn.write(octets),
  }).catch(loginFailed);
  notes.user = result.user;
  notes.onAuth(result.ok);
  if (result.ok) return result.conn;
  throw new Refusal("login-failed", "the login failed", result.farewell);
}

/** A method may reject with whatever it met; a broken connection stays what it is. */
function loginFailed(error: unknown): never {
  if (error instanceof NetError) throw error;
  throw new Refusal("login-failed", `the login failed: ${error}`);
}

async function readSocks4(
  reader: MessageReader,
  settings: Settings,
  notes: HandshakeNotes,
): Promise<ClientRequest> {
  const request = await refusing(
    reader.read(socks4.decodeRequest),
    () => encodeReply4(REPLY.generalFailure),
  );
  notes.userId = new TextDecoder().decode(request.userId);
  if (!settings.servesSocks4) {
    const farewell = encodeReply4(REPLY.notAllowed);
    throw new Refusal("no-method", "SOCKS4 has no login", farewell);
  }
  const command = COMMAND_NAMES[request.command];
  return {
    command: command === "udp-associate" ? undefined : command,
    target: { hostname: request.hostname, port: request.port },
    conn: reader.release(),
    replyNumber: replyNumber4,
    encodeReply: encodeReply4,
  };
}

/** Turns a decoder's complaint into a refusal with this answer. */
async function refusing<T>(
  message: Promise<T>,
  farewell: (error: ProtocolError) => Uint8Array,
): Promise<T> {
  try {
    return await message;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new Refusal("protocol-error", error.message, farewell(error));
  }
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

function encodeReply5(reply: number, bound?: Address): Uint8Array {
  return socks5.encodeReply({ ...bound, reply });
}

function replyNumber4(reply: number): number {
  return reply === REPLY.succeeded ? REPLY4.granted : REPLY4.rejected;
}

function encodeReply4(reply: number, bound?: Address): Uint8Array {
  return socks4.encodeReply({ ...bound, reply: replyNumber4(reply) });
}
