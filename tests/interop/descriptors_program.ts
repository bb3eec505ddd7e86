/**
 * A server with default limits that prints its port. descriptors_test.ts starts it
 * with few descriptors.
 *
 * @module
 */

import process from "node:process";
import { serve } from "../../src/server/mod.ts";

if (process.argv[2] === "run-descriptors") {
  const server = await serve({
    port: 0,
    timeouts: { handshake: 2_000, connect: 2_000 },
  });
  // As any server does for a clean end. It also avoids a panic: Deno 2.9.6 sets up
  // its own signal handling half a second after its start, and panics if it gets
  // no descriptor for that; a signal listener makes Deno do it at once.
  process.on("SIGTERM", () => void server.shutdown({ grace: 0 }));
  console.log(server.addr.port);
  await server.finished;
  process.exit(0);
}
