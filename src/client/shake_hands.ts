/**
 * Handshakes over a connection to the proxy.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { DatagramWrapper } from "../protocol/datagram.ts";
import { NetError } from "../transport/errors.ts";
import { putBack } from "../transport/quiet.ts";
import type { Conn } from "../transport/transport.ts";
import type { NegotiatingAttempt } from "./authenticate.ts";
import { Handshake } from "./handshake.ts";

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
  attempt: NegotiatingAttempt,
  raw: Conn,
  command: number,
  target: Endpoint,
): Promise<Granted> {
  const handshake = new Handshake(attempt, command, target);
  await raw.write(handshake.start());
  await exchange(handshake, raw);
  let conn = raw;
  let datagrams: DatagramWrapper | undefined;
  if (handshake.negotiating) {
    const { negotiate } = await import("./authenticate.ts"); // seldom needed
    const wrapped = await negotiate(handshake.negotiating, attempt, raw);
    conn = wrapped.conn ?? raw;
    datagrams = wrapped.datagrams;
    await conn.write(handshake.request());
    await exchange(handshake, conn);
  }
  return { bound: handshake.bound!, conn, datagrams };
}

/** Waits for the second reply to BIND; returns the address of the peer. */
export async function readSecondReply(
  attempt: NegotiatingAttempt,
  conn: Conn,
): Promise<Endpoint> {
  const handshake = new Handshake(attempt, 0, NOWHERE);
  handshake.awaitPeer();
  await exchange(handshake, conn);
  return handshake.bound!;
}

const NOWHERE: Endpoint = { hostname: "0.0.0.0", port: 0 };

/** Reads and writes until the handshake is done, or until a method has to negotiate. */
async function exchange(handshake: Handshake, conn: Conn): Promise<void> {
  while (!handshake.bound && !handshake.negotiating) {
    const chunk = await conn.read();
    if (!chunk) {
      throw new NetError(
        "ended",
        "the peer sent FIN in the middle of a message",
      );
    }
    const message = handshake.feed(chunk);
    if (message) await conn.write(message);
  }
  const rest = handshake.takeRest();
  if (rest.length > 0) putBack(conn, rest);
}
