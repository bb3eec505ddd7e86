/**
 * Paths of Unix sockets.
 *
 * @module
 */

import { rename } from "node:fs/promises";
import * as net from "node:net";
import { join } from "node:path";
import { withFolder } from "./folder.ts";

/** Runs a function with the path of a socket in a new folder. */
export function withSocketPath(
  use: (path: string) => Promise<void>,
): Promise<void> {
  return withFolder((folder) => use(join(folder, "proxy.sock")));
}

/** Leaves a socket file on which nobody listens, as a server does that is killed. */
export async function leaveBehind(path: string): Promise<void> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  await rename(path, `${path}.moved`); // so that the server does not remove it
  await new Promise((resolve) => server.close(resolve));
  await rename(`${path}.moved`, path);
}
