/**
 * Keeps two programs from using one file.
 *
 * @module
 */

import * as net from "node:net";
import {
  closeOwn,
  type FileIdentity,
  identityOf,
  removeStale,
} from "../../transport/common/socket_file.ts";
import { NetError } from "../../transport/errors.ts";
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
  readonly #identity: FileIdentity | undefined;

  private constructor(
    path: string,
    server: net.Server,
    identity: FileIdentity | undefined,
  ) {
    this.#path = path;
    this.#server = server;
    this.#identity = identity;
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
    try {
      await removeStale(path);
      const server = await listen(path);
      return new FileLock(path, server, await identityOf(path));
    } catch (error) {
      const { message } = error as Error;
      const isInUse = error instanceof NetError && error.kind === "addr-in-use";
      throw lockError(file, isInUse ? "another program uses it" : message);
    }
  }

  /** Whether it is still the lock of the file, and nobody has removed it. */
  async isHeld(): Promise<boolean> {
    const now = await identityOf(this.#path);
    const own = this.#identity;
    return now !== undefined && now.ino === own?.ino && now.dev === own.dev;
  }

  /** Unlocks the file. */
  async release(): Promise<void> {
    const close = () =>
      new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const isHeld = await this.isHeld();
    await closeOwn(this.#path, this.#identity, close);
    // Not every runtime has removed it.
    if (isHeld) await removeStale(this.#path).catch(() => {});
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
