/**
 * The common shape of front ends: from a client's first byte to one request.
 *
 * @module
 */

import type { Endpoint } from "../../protocol/address.ts";
import type { DatagramWrapper } from "../../protocol/datagram.ts";
import type { ForwardRequest } from "../../protocol/http_forward_request.ts";
import type { MessageReader } from "../../transport/message_reader.ts";
import type { AbortSwitch } from "../../transport/signal.ts";
import type { Address, Conn } from "../../transport/transport.ts";
import type { CommandName, ProtocolName } from "../events.ts";
import type { Settings } from "../settings.ts";

/** One protocol that clients speak, such as SOCKS5. */
export interface Frontend {
  readonly name: ProtocolName;
  /** The version of SOCKS, as sessions report it; `undefined` for other protocols. */
  readonly version: 4 | 5 | undefined;
  /** Whether a connection that begins with this byte speaks the protocol. */
  accepts(firstByte: number): boolean;
  /**
   * Reads one complete request and the login before it, from a reader that still
   * has the first byte. Rejects with a `Refusal`, or with the `NetError` of the
   * connection.
   */
  read(context: FrontendContext): Promise<ClientRequest>;
}

/** The context in which a front end reads a request. */
export interface FrontendContext {
  readonly conn: Conn;
  readonly reader: MessageReader;
  readonly settings: Settings;
  readonly session: HandshakeSession;
}

/** The members of a session for its front end, which sets those that it reads. */
export interface HandshakeSession {
  /** The client's address. */
  readonly client: Address;
  /** The name of the authentication method. */
  method?: string;
  /** The user's name; before a login, that of the client's certificate. */
  user?: string;
  sessionWord?: string;
  userId?: string;
  /** The connection that the authentication method returned, if any; the session closes it. */
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
  /** The message that the command `forward` forwards; its content is unread. */
  readonly message?: ForwardRequest;
  /** Protects the datagrams of a UDP association, if the authentication method does. */
  readonly datagrams?: DatagramWrapper;
  /** The replies in the client's protocol. */
  readonly dialect: Dialect;
}

/** The replies of one protocol. */
export interface Dialect {
  /** Whether its replies can carry only IPv4 addresses. */
  readonly isIPv4Only: boolean;
  /** Translates a SOCKS5 reply number. */
  replyNumber(reply: number): number;
  /** The bytes of a reply, given its SOCKS5 number. */
  encodeReply(reply: number, bound?: Address): Uint8Array;
}
