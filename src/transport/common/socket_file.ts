/**
 * The files of Unix sockets.
 *
 * @module
 */

import {
  chmod,
  lstat,
  mkdtemp,
  readdir,
  rename,
  rmdir,
  unlink,
} from "node:fs/promises";
import * as net from "node:net";
import { platform } from "node:os";
import { basename, dirname, join } from "node:path";
import { systemClock } from "../clock.ts";
import { NetError, toNetError } from "../errors.ts";

/** What listens on a socket. */
interface Closable {
  close(): Promise<void>;
}

/**
 * Listens on a Unix socket whose file at `path` appears with the permissions `mode`, and
 * replaces the file of a server that was killed. `open` listens at another path.
 *
 * The socket is made in a folder that only this user can enter. The folder is then renamed
 * to one that all starts use, which the system allows to one of them at a time: nobody else
 * can replace the file between the check that no server listens on it and the rename to
 * `path`. If a start is killed meanwhile, its socket refuses connections, and the next start
 * removes it.
 *
 * Rejects with kind `addr-in-use` if a server listens on `path`, if `path` is not a socket,
 * or if another start takes too long.
 */
export async function listenOnFile<L extends Closable>(
  path: string,
  mode: number,
  open: (path: string) => Promise<L>,
): Promise<L> {
  checkLength(path);
  const shared = join(dirname(path), SHARED);
  let folder = await mkdtemp(`${dirname(path)}/.`)
    .catch((error) => fail(error, dirname(path)));
  const name = basename(folder).slice(1);
  let opened: L | undefined;
  try {
    opened = await open(join(folder, name));
    await chmod(join(folder, name), mode);
    const own = await lstat(join(folder, name));
    await enter(folder, shared);
    folder = shared;
    await removeStale(path);
    await rename(join(shared, name), path);
    return { ...opened, close: closing(opened, path, own) };
  } catch (error) {
    await unlink(join(folder, name)).catch(() => {});
    await opened?.close();
    throw toNetError(error);
  } finally {
    // Fails if another start has renamed its folder to this one by now.
    await rmdir(folder).catch(() => {});
  }
}

/** The name of the folder in which only one start at a time has its socket. */
const SHARED = ".starting";
/** How often to look whether another start is over, in milliseconds, and how many times. */
const PAUSE = 20;
const MAX_PAUSES = 150;

/** The maximum length of a socket's path in bytes: `sun_path`, less the final zero. */
const MAX_LENGTH = platform() === "linux" ? 107 : 103;
/** What follows the folder in the longest path that is used during a start. */
const LONGEST = `/${SHARED}/123456`;

function checkLength(path: string): void {
  const { length } = new TextEncoder().encode(path);
  const folder = new TextEncoder().encode(dirname(path)).length;
  const max = MAX_LENGTH - LONGEST.length;
  if (length > MAX_LENGTH) {
    const message = `${path} has ${length} bytes, of ${MAX_LENGTH} at most`;
    throw new NetError("invalid", message);
  }
  if (folder > max) {
    const message =
      `the folder of the Unix socket ${path} has ${folder} bytes, of ${max} at most`;
    throw new NetError("invalid", message);
  }
}

/** The runtime's message has a name that the user has not given. */
function fail(error: NodeJS.ErrnoException, folder: string): never {
  const { kind } = toNetError(error);
  const { code } = error;
  const message = code === "ENOENT"
    ? `the folder ${folder} does not exist`
    : `nothing can be made in the folder ${folder} (${code ?? error.message})`;
  throw new NetError(kind, message, error);
}

/** Renames the folder of a start to `shared` when no other start is there. */
async function enter(folder: string, shared: string): Promise<void> {
  for (let pauses = 0;; pauses++) {
    const isIn = await rename(folder, shared).then(() => true, isFull);
    if (isIn) return;
    try {
      for (const name of await readdir(shared)) {
        await removeStale(join(shared, name));
      }
    } catch (error) {
      if (pauses >= MAX_PAUSES) throw busy(shared, error);
      await pause();
    }
  }
}

function busy(shared: string, cause: unknown): NetError {
  const message = `another server has been starting in ${shared} for too long`;
  return new NetError("addr-in-use", message, cause);
}

/** Returns `false` if a folder is not empty, and throws any other error. */
function isFull(error: NodeJS.ErrnoException): false {
  if (error.code === "ENOTEMPTY" || error.code === "EEXIST") return false;
  throw error;
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    systemClock.startTimeout(PAUSE, resolve);
  });
}

/**
 * Removes a socket file on which nobody listens. Rejects with kind `addr-in-use` if
 * somebody does, or if the file is not a socket.
 */
async function removeStale(path: string): Promise<void> {
  const file = await lstat(path).catch(() => undefined);
  if (!file) return;
  if (!file.isSocket()) {
    throw new NetError("addr-in-use", `${path} exists and is not a socket`);
  }
  if (await answers(path)) {
    throw new NetError("addr-in-use", `a server listens on ${path}`);
  }
  await unlink(path).catch(ignoreMissing);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw toNetError(error);
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
interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

/**
 * Returns `close()` of a listener, which removes its file before it closes: until then no
 * other server replaces the file. The runtimes remove only the path of the start.
 */
function closing(
  listener: Closable,
  path: string,
  own: FileIdentity,
): () => Promise<void> {
  return async () => {
    const now = await lstat(path).catch(() => undefined);
    const isOwn = now?.ino === own.ino && now.dev === own.dev;
    if (isOwn) await unlink(path).catch(() => {});
    await listener.close();
  };
}
