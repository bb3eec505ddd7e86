/**
 * Addresses that a dialer reports.
 *
 * @module
 */

import type { Endpoint } from "../../protocol/address.ts";
import { REPLY } from "../../protocol/reply.ts";
import type { ClientRequest } from "../frontends/frontend.ts";

/** Whether a reply to the client can carry the address. It cannot carry the path of a Unix socket, or in SOCKS4 a name. */
export function isReplyable(
  { dialect }: ClientRequest,
  addr: Endpoint,
): boolean {
  try {
    dialect.encodeReply(REPLY.succeeded, addr);
    return true;
  } catch {
    return false;
  }
}
