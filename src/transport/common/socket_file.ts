/**
 * The files of Unix sockets.
 *
 * @module
 */

import { chmod, lstat, rename, unlink } from "node:fs/promises";
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

/** What a path refers to, even if it is another file later. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

/** The identity of the file at a path, if there is one. */
export async function identityOf(
  path: string,
): Promise<FileIdentity | undefined> {
  return await lstat(path).catch(() => undefined);
}

/**
 * Closes the listener whose socket file was `own`. All runtimes remove the path then, even
 * if it is that of another server by now, whose file is put aside meanwhile.
 */
export async function closeOwn(
  path: string,
  own: FileIdentity | undefined,
  close: () => Promise<void>,
): Promise<void> {
  const now = await identityOf(path);
  const isOther = now && own && (now.ino !== own.ino || now.dev !== own.dev);
  if (!isOther) return await close();
  const aside = `${path}.${crypto.randomUUID().slice(0, 8)}`;
  const isAside = await rename(path, aside).then(() => true, () => false);
  try {
    await close();
  } finally {
    if (isAside) await rename(aside, path).catch(() => {});
  }
}

/** Sets the permissions of a socket file. */
export async function setMode(path: string, mode: number): Promise<void> {
  await chmod(path, mode).catch((error) => {
    throw toNetError(error);
  });
}
