/**
 * Checks of the results of a dialer, which is the user's code.
 *
 * @module
 */

import { type Endpoint, isIp, unmapIp } from "../../protocol/address.ts";
import { REPLY } from "../../protocol/reply.ts";
import type { Conn } from "../../transport/transport.ts";
import type { DialedAssociation } from "../dialer.ts";
import type { ClientRequest } from "../frontends/frontend.ts";

/** The members that a relay needs: without them it would throw an error that nothing catches. */
const MEMBERS = ["read", "write", "closeWrite", "close", "reset"] as const;

/** Returns a connection as it is, and throws a `TypeError` for anything else. */
export function checkedConn<T extends Conn>(conn: T): T {
  const isConn = conn && conn.localAddr && conn.remoteAddr &&
    MEMBERS.every((it) => typeof conn[it] === "function");
  if (isConn) return conn;
  throw new TypeError("the dialer returned no connection");
}

/** The same for associations. */
export function checkedAssociation<T extends DialedAssociation>(given: T): T {
  const isAssociation = given && typeof given.send === "function" &&
    Symbol.asyncIterator in given;
  if (isAssociation) return given;
  throw new TypeError("the dialer returned no association");
}

/**
 * Whether a reply to the client can carry the address. It cannot carry the path
 * of a Unix socket, or in SOCKS4 a name or an IPv6 address.
 */
export function isReplyable(
  { dialect }: ClientRequest,
  addr: Endpoint,
): boolean {
  if (dialect.isIPv4Only && isIp(unmapIp(addr.hostname)) === 6) return false;
  try {
    dialect.encodeReply(REPLY.succeeded, addr);
    return true;
  } catch {
    return false;
  }
}
