/**
 * The common shape of front ends: from a client's first octet to one request.
 *
 * @module
 */

import type { Endpoint } from "../../protocol/address.ts";
import type { DatagramWrapper } from "../../protocol/datagram.ts";
import { ProtocolError } from "../../protocol/decode.ts";
import { REPLY } from "../../protocol/reply.ts";
import type { MessageReader } from "../../transport/message_reader.ts";
import type { AbortSwitch } from "../../transport/signal.ts";
import type { Address, Conn } from "../../transport/transport.ts";
import type { CommandName, SessionEndReason } from "../events.ts";
import type { Settings } from "../settings.ts";

/** One dialect that clients speak, such as SOCKS5. */
export interface Frontend {
  /** The protocol's version, as sessions report it. */
  readonly version: 4 | 5;
  /** Whether a connection that begins with this octet speaks it. */
  accepts(firstOctet: number): boolean;
  /**
   * Reads up to one complete request, login included. Nothing has been taken
   * from the reader before. Rejects with a {@linkcode Refusal}, or with the
   * `NetError` of the connection.
   */
  read(context: FrontendContext): Promise<ClientRequest>;
}

/** Everything that a front end works with. */
export interface FrontendContext {
  readonly conn: Conn;
  readonly reader: MessageReader;
  readonly settings: Settings;
  /** Where it reports its findings. */
  readonly session: HandshakeSession;
}

/** A session as its front end sees it. */
export interface HandshakeSession {
  /** The client's address. */
  readonly client: Address;
  /** The name of the authentication method. */
  method?: string;
  user?: string;
  userId?: string;
  /** The connection as the authentication method has wrapped it; the session closes it. */
  wrapped?: Conn;
  /** Fires when the session ends. */
  readonly stopping: AbortSwitch;
  /** Reports the outcome of an authentication. */
  onAuth(ok: boolean): void;
}

/** A complete request. */
export interface ClientRequest {
  /** `undefined` when the number on the wire names no command. */
  readonly command: CommandName | undefined;
  readonly target: Endpoint;
  /** The connection, with the bytes after the request unread. */
  readonly conn: Conn;
  /** Protects the datagrams of a UDP association, if the authentication method does. */
  readonly datagrams?: DatagramWrapper;
  /** The replies in the client's protocol. */
  readonly dialect: Dialect;
}

/** The replies of one protocol. */
export interface Dialect {
  /** Translates a SOCKS5 reply number. */
  replyNumber(reply: number): number;
  /** The octets of a reply, given its SOCKS5 number. */
  encodeReply(reply: number, bound?: Address): Uint8Array;
}

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
  ) {
    super(message);
    this.reason = reason;
    this.farewell = farewell;
    this.reply = reply;
  }
}

const COMMAND_NAMES: readonly (CommandName | undefined)[] = [
  undefined,
  "connect",
  "bind",
  "udp-associate",
];

/** The name of a SOCKS command number, the same in both versions. */
export function commandName(number: number): CommandName | undefined {
  return COMMAND_NAMES[number];
}

/**
 * The hostname that a reply carries for an address: without its zone
 * (`fe80::1%eth0`, on Node.js), which means nothing to other machines;
 * `undefined` for a socket that is closed.
 */
export function replyHostname(bound: Address | undefined): string | undefined {
  const hostname = bound?.hostname || undefined;
  return hostname?.includes("%") ? hostname.split("%", 1)[0] : hostname;
}

/** A {@linkcode Refusal} with the reply to a request that cannot be decoded; other errors are returned unchanged. */
export function refuseBadRequest(error: unknown, dialect: Dialect): unknown {
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
