/**
 * A bridge whose clients name their targets by their logins.
 *
 * @module
 */

import { type Conn, NetError, serve, userPass } from "../../server/public.ts";
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
        reachAlias(aliases.take(session.user), reach, signal),
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

/** Connects, and keeps the error in the alias. */
export async function reachAlias(
  alias: Alias | undefined,
  reach: Reach,
  signal: AbortSignal,
): Promise<Conn> {
  if (!alias) throw new NetError("denied", "the login has been used");
  try {
    return await reach(alias, signal);
  } catch (error) {
    alias.error = error;
    throw error;
  }
}
