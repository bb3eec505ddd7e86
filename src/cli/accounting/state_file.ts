/**
 * The file in which totals of users survive the program.
 *
 * @module
 */

import {
  open,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
} from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { detectRuntime } from "../../transport/detect.ts";
import type { UsageRecord } from "../../server/accounting/local_usage_store.ts";
import { EXIT, StartError } from "../failure.ts";
import { showMessage, showPath } from "../output/escape.ts";
import { FileLock } from "./file_lock.ts";
import { formatState, parseState } from "./state_text.ts";

/**
 * Reads an accounting file; one that does not exist has no records.
 *
 * @throws {StartError} if it is damaged or cannot be read: totals must not become zero
 * unnoticed.
 */
export async function readState(path: string): Promise<UsageRecord[]> {
  const shown = `the accounting file ${showPath(path)}`;
  checkPermissions(path);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    throw failure(`${shown} cannot be read: ${message}`);
  }
  try {
    return parseState(text);
  } catch (error) {
    const reason = showMessage((error as Error).message);
    throw failure(
      `${shown} is damaged (${reason}): restore a copy of it, or move it away to ` +
        "begin with zero",
    );
  }
}

/** A file that this program alone writes, as a whole or not at all. */
export class StateFile {
  readonly #path: string;
  readonly #lock: FileLock | undefined;

  private constructor(path: string, lock: FileLock | undefined) {
    this.#path = path;
    this.#lock = lock;
  }

  /**
   * Locks the file, reads it, and writes it once, so that a lack of permissions is noticed now.
   *
   * @throws {StartError} if that is not possible.
   */
  static async open(
    given: string,
  ): Promise<{ file: StateFile; records: UsageRecord[] }> {
    checkPermissions(given);
    const path = await targetOf(given);
    const { platform } = await import("node:process");
    // Node.js has no Unix sockets on Windows; there the file is not locked.
    const isLocked = platform !== "win32";
    const lock = isLocked ? await FileLock.acquire(path) : undefined;
    const file = new StateFile(path, lock);
    try {
      const records = await readState(path);
      await file.write(records).catch(({ message }: Error) => {
        const shown = `the accounting file ${showPath(path)}`;
        throw failure(`${shown} cannot be written: ${message}`);
      });
      return { file, records };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Replaces the file. A crash, also of the machine, leaves the old one or the new one. Calls
   * must not overlap.
   */
  async write(records: readonly UsageRecord[]): Promise<void> {
    if (this.#lock && !await this.#lock.isHeld()) {
      throw new Error("another program has taken over its lock");
    }
    const temporary = `${this.#path}.tmp`;
    await rm(temporary, { force: true }); // left by a crash, or a link of somebody else
    const handle = await open(temporary, "wx", 0o600);
    try {
      for (const part of formatState(records)) await handle.writeFile(part);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, this.#path);
    await syncFolder(dirname(this.#path));
  }

  /** Lets other programs use the file. */
  async close(): Promise<void> {
    await this.#lock?.release();
  }
}

/** A link is followed, also to a file that does not exist yet: renaming would replace the link. */
async function targetOf(given: string): Promise<string> {
  let path = given;
  for (let links = 0; links < MAX_LINKS; links++) {
    const found = await realpath(path).catch(() => undefined);
    if (found !== undefined) return found;
    const link = await readlink(path).catch(() => undefined);
    if (link === undefined) break;
    const folder = dirname(path); // a link, too, may have "..": of the real folder
    path = resolve(await realpath(folder).catch(() => folder), link);
  }
  return path;
}

/** How many links to a file that does not exist are followed one after the other. */
const MAX_LINKS = 8;

/** Makes the new name of a file last; some file systems cannot, and do it by themselves. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, "r");
    await folder.sync().finally(() => folder.close());
  } catch {
    // The file itself is written.
  }
}

interface DenoPermissions {
  readonly permissions: {
    querySync(wanted: { name: "read" | "write"; path: string }): {
      state: string;
    };
  };
}

/** Deno would prompt for a missing permission, and a server must not wait for an answer. */
function checkPermissions(path: string): void {
  if (detectRuntime() !== "deno") return;
  const { Deno: deno } = globalThis as unknown as { Deno: DenoPermissions };
  for (const name of ["read", "write"] as const) {
    const wanted = { name, path: dirname(path) };
    if (deno.permissions.querySync(wanted).state === "granted") continue;
    throw failure(
      `the accounting file needs --allow-${name} for its folder, in which its lock and ` +
        "its next version are",
    );
  }
}

function failure(message: string): StartError {
  return new StartError(message, EXIT.failed);
}
