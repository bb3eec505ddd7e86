/**
 * The files that a configuration consists of.
 *
 * @module
 */

import { escapeText } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";

/** Reads a file as text. */
export type ReadFile = (path: string) => Promise<string>;

/** Reads files, and keeps the text that each had last. */
export class FileReader {
  readonly #texts = new Map<string, string>();

  /** See {@linkcode ReadFile}. */
  readonly read: ReadFile = async (path) => {
    const text = await readFile(path);
    this.#texts.set(path, text);
    return text;
  };

  /** The texts by path. */
  get texts(): [path: string, text: string][] {
    return [...this.#texts];
  }
}

/** The members of `Deno` that are used here. */
interface DenoPermissions {
  readonly permissions: {
    querySync(wanted: { name: "read"; path: string }): { state: string };
  };
}

/**
 * The text of a file in UTF-8, without a byte order mark.
 *
 * @throws {UsageError} that says why it cannot be read; its message does not
 * name the file.
 */
export async function readFile(path: string): Promise<string> {
  const { Deno: deno } = globalThis as unknown as { Deno?: DenoPermissions };
  // Reading without the permission would ask for it, and a server must not wait for an answer.
  if (deno && !mayRead(deno, path)) {
    throw new UsageError("may not be read: --allow-read is missing");
  }
  let octets: Uint8Array;
  try {
    // Only now: most servers are started without a file.
    const { readFile } = await import("node:fs/promises");
    octets = await readFile(path);
  } catch (error) {
    throw new UsageError(reasonOf(error as Error & { code?: string }));
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(octets);
  } catch {
    throw new UsageError("is not text in UTF-8");
  }
}

function mayRead({ permissions }: DenoPermissions, path: string): boolean {
  return permissions.querySync({ name: "read", path }).state === "granted";
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "may not be read by this user",
  EISDIR: "is a folder, not a file",
};

function reasonOf({ code = "", message }: Error & { code?: string }): string {
  return REASONS[code] ?? `cannot be read: ${escapeText(message)}`;
}

/** The path of what a file calls `path`: relative to the file's folder. */
export function besideFile(file: string, path: string): string {
  if (/^([\\/]|[A-Za-z]:)/.test(path)) return path;
  const folder = /^.*[\\/]/s.exec(file)?.[0] ?? "";
  return folder + path;
}
