/**
 * A bridge without a port of its own.
 *
 * @module
 */

import { setTimeout as startTimer } from "node:timers";
import { type Endpoint, serve, userPass } from "../../server/public.ts";
import { detectTransport } from "../../transport/detect.ts";
import { type ConnSource, toConn } from "../../transport/streams.ts";
import { createTimeouts } from "../../transport/timeouts.ts";

/** A clock whose timers do not keep the process alive. */
const clock = {
  now: () => performance.now(),
  startTimeout: createTimeouts({
    now: () => performance.now(),
    setTimeout: (call, ms) => startTimer(call, ms).unref(),
    clearTimeout: (handle) => clearTimeout(handle as number | undefined),
  }),
};

/**
 * Starts a proxy for the connections that the returned function is given. Clients need a
 * login; `reach` connects their users to the targets. The proxy does not keep the process
 * alive.
 */
export async function serveHandedOver(
  reach: (
    target: Endpoint,
    user: string | undefined,
    signal: AbortSignal,
  ) => Promise<ConnSource>,
  isLogin: (username: string, password: string) => boolean,
): Promise<(source: ConnSource) => void> {
  const server = await serve({
    listen: false,
    http: true,
    auth: [userPass(isLogin, { lockout: 0 })],
    dial: {
      connect: async (target, { session, signal }) =>
        toConn(await reach(target, session.user, signal)),
    },
    policy: () => true,
    // The dialer has its own timeout.
    timeouts: { connect: 0, idle: 0 },
    transport: { ...await detectTransport(), clock },
  });
  return (source) => server.handle(source);
}
