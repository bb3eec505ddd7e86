/**
 * The client's half of the protocol, up to the replies of the proxy.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { DatagramWrapper } from "../protocol/datagram.ts";
import { MessageReader } from "../transport/message_reader.ts";
import type { Conn } from "../transport/transport.ts";
import type { HandshakeAttempt } from "./dialect.ts";

/** A request that the proxy has granted. */
export interface Granted {
  /** The bound address of the reply. */
  readonly bound: Endpoint;
  /** The connection for everything that follows, wrapped if the authentication method wraps it. */
  readonly conn: Conn;
  /** Protects datagrams, if the authentication method does. */
  readonly datagrams?: DatagramWrapper;
}

/** Authenticates and requests a command over a connection to the proxy. */
export async function shakeHands(
  attempt: HandshakeAttempt,
  raw: Conn,
  command: number,
  target: Endpoint,
): Promise<Granted> {
  const { dialect, proxy, auth } = attempt;
  let conn = raw;
  let reader = new MessageReader(conn);
  let datagrams: DatagramWrapper | undefined;
  if (dialect.authenticate) {
    const result = await dialect.authenticate(attempt, conn, reader);
    datagrams = result?.datagrams;
    if (result?.conn) reader = new MessageReader(conn = result.conn);
  }
  attempt.phase = "request";
  await conn.write(dialect.encodeRequest(command, target, proxy, auth));
  const bound = await readReply(attempt, reader);
  return { bound, conn, datagrams };
}

/** Waits for the second reply to BIND; returns the address of the peer. */
export function readSecondReply(
  attempt: HandshakeAttempt,
  conn: Conn,
): Promise<Endpoint> {
  attempt.phase = "bind";
  return readReply(attempt, new MessageReader(conn));
}

/** Reads a reply and returns its bound address; the bytes after the reply stay unread. */
async function readReply(
  attempt: HandshakeAttempt,
  reader: MessageReader,
): Promise<Endpoint> {
  const { dialect } = attempt;
  const { reply, ...bound } = await reader.read(dialect.decodeReply);
  if (reply !== dialect.success) throw dialect.rejectedError(reply, attempt);
  reader.release();
  return bound;
}
