/**
 * The admin listener of the configuration.
 *
 * @module
 */

import { formatEndpoint, isLoopback } from "../../protocol/address.ts";
import { localPlace } from "../../transport/local_place.ts";
import { UsageError } from "../usage_error.ts";
import type { Config } from "./config.ts";
import { fileName, type ReadFile, tryRead } from "./files.ts";

/** Shorter tokens could be guessed, longer ones do not fit in a header. */
const TOKEN = /^[\x21-\x7e]{16,512}$/;

/** Reads the token of the admin port; adds a problem if the file has none. */
export async function loadAdminToken(
  { adminTokenFile: path }: Config,
  read: ReadFile,
  problems: string[],
): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const text = await tryRead(read, path, problems, { isPrivate: true });
  const token = text?.trim();
  if (token === undefined || TOKEN.test(token)) return token;
  problems.push(
    `${
      fileName(path)
    }: must have one token of 16 to 512 ASCII characters, and ` +
      'nothing else: "openssl rand -hex 32" prints one',
  );
}

/**
 * Checks where the admin listener is.
 *
 * @throws {UsageError} if others than this machine could reach it without a chosen token,
 * or the token has no use.
 */
export function checkAdmin({ admin, adminTokenFile }: Config): void {
  if (adminTokenFile !== undefined) {
    if (admin && !localPlace(admin.hostname)) return;
    const why = admin ? "a Unix socket needs no token" : "there is no --admin";
    throw new UsageError(`--admin-token-file has no effect: ${why}`);
  }
  if (!admin || localPlace(admin.hostname) || isLoopback(admin.hostname)) {
    return;
  }
  throw new UsageError(
    `--admin on ${
      formatEndpoint(admin)
    } can be reached from other machines: add ` +
      '--admin-token-file FILE ("openssl rand -hex 32" prints a token), or use ' +
      "127.0.0.1 or unix:PATH and a tunnel, because HTTP encrypts nothing",
  );
}
