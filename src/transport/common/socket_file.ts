/**
 * The files of Unix sockets.
 *
 * @module
 */

import { chmod, lstat, unlink } from "node:fs/promises";
import * as net from "node:net";
import { NetError, toNetError } from "../errors.ts";

/**
 * Removes a socket file on which nobody listens, as a server leaves it behind that was
 * killed. Rejects with kind `addr-in-use` if somebody does, or if the file is no socket.
 */
export async function removeStale(path: string): Promise<void> {
  const file = await lstat(path).catch(() => undefined);
  if (!file) return;
  if (!file.isSocket()) {
    throw new NetError("addr-in-use", `${path} exists and is no socket`);
  }
  if (await answers(path)) {
    throw new NetError("addr-in-use", `a server listens on ${path}`);
  }
  await unlink(path).catch((error) => {
    throw toNetError(error);
  });
}

/** Whether anything but a refusal happens to a client. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on(
      "error",
      ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED"),
    );
  });
}

/** Sets the permissions of a socket file. */
export async function setMode(path: string, mode: number): Promise<void> {
  await chmod(path, mode).catch((error) => {
    throw toNetError(error);
  });
}
