/**
 * Folders of tests.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs a function with a new folder, which is removed afterwards. */
export async function withFolder<T>(
  use: (folder: string) => T | Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "socks5-"));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}
