/**
 * The first half of a shutdown.
 *
 * @module
 */

import type { Server } from "../../server/serve.ts";

/** Lets no more clients in, and gives how many sessions are open. */
export function stopAccepting(server: Server): number {
  void server.shutdown({ grace: Infinity });
  return server.sessions.length;
}
