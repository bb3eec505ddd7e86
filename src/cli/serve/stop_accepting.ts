/**
 * The first half of a shutdown.
 *
 * @module
 */

import type { Server } from "../../server/serve.ts";

/** Lets no more clients in, and gives how many sessions are open. */
export function closeDoor(server: Server): number {
  void server.shutdown({ graceMs: Infinity });
  return server.sessions.length;
}
