/**
 * A server with default limits that prints its port, for descriptors_test.ts to
 * start where few descriptors are to be had.
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
  // Like any server that wants a clean end. Deno 2.9.6 besides sets up its own
  // signal handling half a second after its start, and panics when it gets no
  // descriptor for it then; this has it done at once.
  process.on("SIGTERM", () => void server.shutdown({ grace: 0 }));
  console.log(server.addr.port);
  await server.finished;
  process.exit(0);
}
