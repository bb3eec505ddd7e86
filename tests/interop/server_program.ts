/**
 * A server with default options that prints its port. Tests start it on any
 * runtime.
 *
 * @module
 */

import process from "node:process";
import { serve } from "../../src/server/serve.ts";

if (process.argv[2] === "run-server") {
  const server = await serve({ port: 0 });
  console.log(server.addr.port);
  await server.finished;
}
