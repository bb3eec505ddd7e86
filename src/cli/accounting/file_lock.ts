/**
 * Keeps two programs from using one file.
 *
 * @module
 */

import { lstat, unlink } from "node:fs/promises";
import * as net from "node:net";
import { EXIT, StartError } from "../failure.ts";
import { showPath } from "../output/escape.ts";

/** The longest path of a Unix socket on Linux; on other systems it is a few bytes shorter. */
const MAX_PATH = 103;

/**
 * A lock that ends with its process, however that ends: a Unix socket beside the file. One
 * on which nobody listens is left from a process that was killed.
 */
export class FileLock {
  readonly #path: string;
  readonly #server: net.Server;
  readonly #inode: number;

  private constructor(path: string, server: net.Server, inode: number) {
    this.#path = path;
    this.#server = server;
    this.#inode = inode;
  }

  /**
   * Locks a file, which need not exist.
   *
   * @throws {StartError} if another program has locked it.
   */
  static async acquire(file: string): Promise<FileLock> {
    const path = `${file}.lock`;
    if (new TextEncoder().encode(path).length > MAX_PATH) {
      const most = MAX_PATH - ".lock".length;
      throw lockError(file, `its path has more than ${most} bytes`);
    }
    const server = await listen(path)
      .catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== "EADDRINUSE") throw lockError(file, error.message);
        if (await answers(path)) {
          throw lockError(file, "another program uses it");
        }
        await unlink(path).catch(() => {});
        return await listen(path);
      });
    const { ino } = await lstat(path);
    return new FileLock(path, server, ino);
  }

  /** Whether it is still the lock of the file, and nobody has removed it. */
  async isHeld(): Promise<boolean> {
    const found = await lstat(this.#path).catch(() => undefined);
    return found?.ino === this.#inode;
  }

  /** Unlocks the file. */
  async release(): Promise<void> {
    const isHeld = await this.isHeld();
    // Closing removes the path, even if it is that of another program by now.
    if (isHeld) await new Promise((resolve) => this.#server.close(resolve));
    if (isHeld) await unlink(this.#path).catch(() => {});
  }
}

function lockError(file: string, reason: string): StartError {
  return new StartError(
    `the accounting file ${showPath(file)} cannot be locked: ${reason}`,
    EXIT.failed,
  );
}

function listen(path: string): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy());
    server.on("error", reject);
    server.listen(path, () => {
      server.unref(); // the lock does not keep the program running
      resolve(server);
    });
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
