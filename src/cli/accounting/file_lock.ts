/**
 * Keeps two programs from using one file.
 *
 * @module
 */

import { lstat } from "node:fs/promises";
import * as net from "node:net";
import { listenOnFile } from "../../transport/common/socket_file.ts";
import { NetError } from "../../transport/errors.ts";
import { EXIT, StartError } from "../failure.ts";
import { showPath } from "../output/escape.ts";

/** The listener of the lock. */
interface Listening {
  close(): Promise<void>;
}

/**
 * A lock that ends with its process, however that ends: a Unix socket beside the file. One
 * without a listener is left from a process that was killed.
 */
export class FileLock {
  readonly #path: string;
  readonly #listener: Listening;
  readonly #inode: number;

  private constructor(path: string, listener: Listening, inode: number) {
    this.#path = path;
    this.#listener = listener;
    this.#inode = inode;
  }

  /**
   * Locks a file, which need not exist.
   *
   * @throws {StartError} if another program has locked it.
   */
  static async acquire(file: string): Promise<FileLock> {
    const path = `${file}.lock`;
    try {
      const listener = await listenOnFile(path, 0o600, listen);
      return new FileLock(path, listener, (await lstat(path)).ino);
    } catch (error) {
      const { message } = error as Error;
      const isInUse = error instanceof NetError && error.kind === "addr-in-use";
      const reason = isInUse ? "another program uses it" : message;
      const text = `the accounting file ${showPath(file)} cannot be locked: `;
      throw new StartError(text + reason, EXIT.failed);
    }
  }

  /** Whether it is still the lock of the file, and was not removed. */
  async isHeld(): Promise<boolean> {
    const found = await lstat(this.#path).catch(() => undefined);
    return found?.ino === this.#inode;
  }

  /** Unlocks the file. */
  async release(): Promise<void> {
    await this.#listener.close();
  }
}

function listen(path: string): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy());
    server.on("error", reject);
    server.listen(path, () => {
      server.unref(); // the lock does not keep the program running
      const close = () =>
        new Promise<void>((resolve) => server.close(() => resolve()));
      resolve({ close });
    });
  });
}
