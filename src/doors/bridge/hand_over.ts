/**
 * A bridge without a port of its own.
 *
 * @module
 */

import { type Dialer, serve, userPass } from "../../server/public.ts";
import type { ConnSource } from "../../transport/streams.ts";

/**
 * Starts a proxy for the connections that the returned function is given. Clients need the
 * login; the dialer reaches the targets.
 */
export async function serveHandedOver(
  dialer: Dialer,
  { username, password }: {
    readonly username: string;
    readonly password: string;
  },
): Promise<(source: ConnSource) => void> {
  const server = await serve({
    listen: false,
    http: true,
    auth: [userPass({ [username]: password }, { lockout: 0 })],
    dial: dialer,
    policy: () => true,
    // The dialer has its own timeout.
    timeouts: { connect: 0, idle: 0 },
  });
  return (source) => server.handle(source);
}
