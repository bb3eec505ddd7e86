/**
 * The files of a configuration.
 *
 * @module
 */

import { detectRuntime } from "../../transport/detect.ts";
import { escapeText } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";

/** Reads a file as text. */
export type ReadFile = (path: string) => Promise<string>;

/** Reads files, and keeps the latest text of each. */
export class ConfigFileReader {
  readonly #texts = new Map<string, string>();

  /** See {@linkcode ReadFile}. */
  readonly read: ReadFile = async (path) => {
    const text = await readFile(path);
    this.#texts.set(path, text);
    return text;
  };

  /** The texts and their paths. */
  get texts(): [path: string, text: string][] {
    return [...this.#texts];
  }
}

/** The members of `Deno` that this module uses. */
interface DenoPermissions {
  readonly permissions: {
    querySync(wanted: { name: "read"; path: string }): { state: string };
  };
}

/**
 * Reads a text file in UTF-8, and removes a byte order mark.
 *
 * @throws {UsageError} with the reason why it cannot be read, without the path.
 */
export async function readFile(path: string): Promise<string> {
  // Without the permission, Deno would prompt for it, and a server must not wait for an answer.
  if (detectRuntime() === "deno" && !mayRead(path)) {
    throw new UsageError("cannot be read: --allow-read is missing");
  }
  let bytes: Uint8Array;
  try {
    // Loaded lazily: most servers start without a file.
    const { readFile } = await import("node:fs/promises");
    bytes = await readFile(path);
  } catch (error) {
    throw new UsageError(reasonOf(error as Error & { code?: string }));
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError("is not valid UTF-8");
  }
}

function mayRead(path: string): boolean {
  const { Deno: deno } = globalThis as unknown as { Deno: DenoPermissions };
  return deno.permissions.querySync({ name: "read", path }).state === "granted";
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EISDIR: "is a directory, not a file",
};

function reasonOf({ code = "", message }: Error & { code?: string }): string {
  return REASONS[code] ?? `cannot be read: ${escapeText(message)}`;
}

/** Resolves a path that a file has, relative to the folder of the file. */
export function besideFile(file: string, path: string): string {
  if (/^([\\/]|[A-Za-z]:)/.test(path)) return path;
  const folder = /^.*[\\/]/s.exec(file)?.[0] ?? "";
  return folder + path;
}
