/**
 * The tokens of a negotiation, the same for both sides.
 *
 * @module
 */

import { ProtocolError } from "../protocol/decode.ts";
import type { DatagramWrapper } from "../protocol/datagram.ts";
import {
  decodeMessage,
  encodeMessage,
  MESSAGE,
  type MessageType,
} from "../protocol/gssapi.ts";
import type { Exchange } from "../transport/exchange.ts";
import type { Conn } from "../transport/transport.ts";
import type { ProtectionLevel } from "./level.ts";
import { Protection } from "./protection.ts";
import type { GssContext } from "./provider.ts";
import { WrappedConn } from "./wrapped_conn.ts";

/** The most steps of a side: Kerberos needs one or two, SPNEGO a few more. */
export const MAX_STEPS = 10;

/** The peer has sent an abort (RFC 1961 section 3.8). */
export class PeerAbort extends ProtocolError {
  constructor() {
    super("message", "the peer has aborted");
  }
}

/**
 * Reads the next token.
 *
 * @throws {ProtocolError} if the peer sends another message; {@linkcode PeerAbort} for an abort.
 */
export async function readToken(
  { read }: Pick<Exchange, "read">,
  expected: MessageType,
): Promise<Uint8Array> {
  const { type, token } = await read(decodeMessage);
  if (type === expected) return token;
  if (type === MESSAGE.abort) throw new PeerAbort();
  throw wrong(`message type is ${type}, not ${expected}`);
}

/** Sends a token. */
export function writeToken(
  { write }: Pick<Exchange, "write">,
  type: MessageType,
  token: Uint8Array,
): Promise<void> {
  return write(encodeMessage({ type, token }));
}

/** The error for a message that the peer must not send. */
export function wrong(reason: string): ProtocolError {
  return new ProtocolError("message", reason);
}

/** The connection and the datagrams of a session. */
export interface Protected {
  readonly conn: Conn;
  readonly datagrams: DatagramWrapper;
}

/** Protects everything from now on. Closing the connection closes the context. */
export function protect(
  { take }: Pick<Exchange, "take">,
  context: GssContext,
  level: Exclude<ProtectionLevel, 0>,
): Protected {
  const protection = new Protection(context, level);
  const datagrams = protection.datagrams();
  return { conn: new WrappedConn(take(), protection), datagrams };
}
