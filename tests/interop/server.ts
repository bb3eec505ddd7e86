/**
 * The server between a foreign client and a target.
 *
 * @module
 */

import type * as net from "node:net";
import type { ServeOptions } from "../../src/server/mod.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { startTarget, type Target } from "./targets.ts";

/** Runs `use` with the port of a server on 127.0.0.1 and a target, and closes both afterwards. */
export async function withServer<T>(
  options: ServeOptions,
  onConn: (socket: net.Socket) => void,
  use: (port: number, target: Target, server: TestServer) => Promise<T>,
): Promise<T> {
  const target = await startTarget(onConn);
  const server = await startServer(options);
  try {
    return await use(server.server.addr.port, target, server);
  } finally {
    await server.close();
    await target.close();
  }
}
