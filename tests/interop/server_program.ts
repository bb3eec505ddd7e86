/**
 * A server with all commands and otherwise default options, which prints its port.
 * Tests start it on any runtime.
 *
 * @module
 */

import process from "node:process";
import { serve } from "../../src/server/serve.ts";

if (process.argv[2] === "run-server") {
  const server = await serve({ port: 0, resolve: true });
  console.log(server.addr.port);
  await server.finished;
}
