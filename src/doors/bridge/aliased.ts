/**
 * A bridge whose clients name their targets by their logins.
 *
 * @module
 */

import { type Conn, serve, userPass } from "../../server/public.ts";
import type { Alias, Aliases } from "../fetch/aliases.ts";

/** Connects to the target of an alias. */
export type Reach = (alias: Alias, signal: AbortSignal) => Promise<Conn>;

/**
 * Starts a SOCKS5 proxy on 127.0.0.1 for the logins of the aliases. Whatever target the request
 * has, the connection is the one of `reach`.
 */
export async function serveAliases(
  aliases: Aliases,
  reach: Reach,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = await serve({
    port: 0,
    auth: [userPass((username) => aliases.has(username), { lockout: 0 })],
    dial: {
      connect: (_, { session, signal }) =>
        aliases.connect(session.user, (it) => reach(it, signal)),
    },
    policy: () => true,
    // The dialer has its own timeout.
    timeouts: { connect: 0, idle: 0 },
  });
  return {
    port: server.addr.port,
    close: () => server.shutdown({ grace: 0 }),
  };
}
