/**
 * A server on the socket that a service manager passes first; see
 * socket_activation_test.ts.
 *
 * @module
 */

import process from "node:process";
import { rules, serve, userPass } from "../../src/server/mod.ts";

if (process.argv[2] === "run-activated") {
  const server = await serve({
    hostname: "fd:3",
    auth: [userPass({ alice: "secret" })],
    policy: rules(["allow user alice 127.0.0.0/8"]),
  });
  await server.finished; // the module of the tests must not go on
}
