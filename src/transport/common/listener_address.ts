/**
 * The addresses of the listeners of `node:net`.
 *
 * @module
 */

import type { Server } from "node:net";
import { plainAddress } from "../socket.ts";
import type { Address } from "../transport.ts";

/** Where it listens; the path of a Unix socket with port 0. */
export function addressOf(server: Server): Address {
  const found = server.address();
  return typeof found === "object"
    ? plainAddress(found?.address, found?.port)
    : { hostname: found, port: 0 };
}
