/**
 * The files of a configuration.
 *
 * @module
 */

import { detectRuntime } from "../../transport/detect.ts";
import { escapeText, showPath } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";

/** Options of {@linkcode ReadFile}. */
export interface ReadOptions {
  /** Refuses a file that other users of this machine may access (not on Windows). */
  readonly isPrivate?: boolean;
}

/** Reads a file as text. */
export type ReadFile = (path: string, options?: ReadOptions) => Promise<string>;

/** Reads files, and keeps the latest text of each. */
export class ConfigFileReader {
  readonly #texts = new Map<string, string>();

  /** See {@linkcode ReadFile}. */
  readonly read: ReadFile = async (path, options) => {
    const text = await readFile(path, options);
    this.#texts.set(path, text);
    return text;
  };

  /** Reads only these files again; the others have the texts that were read last. */
  readonly readAgain =
    (paths: readonly string[]): ReadFile => (path, options) => {
      const text = paths.includes(path) ? undefined : this.#texts.get(path);
      return text === undefined
        ? this.read(path, options)
        : Promise.resolve(text);
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
export async function readFile(
  path: string,
  { isPrivate = false }: ReadOptions = {},
): Promise<string> {
  // Without the permission, Deno would prompt for it, and a server must not wait for an answer.
  if (detectRuntime() === "deno" && !mayRead(path)) {
    throw new UsageError("cannot be read: --allow-read is missing");
  }
  let bytes: Uint8Array;
  try {
    // Loaded lazily: most servers start without a file.
    const { readFile, stat } = await import("node:fs/promises");
    if (isPrivate) await checkPrivate(path, (await stat(path)).mode);
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(reasonOf(error as Error & { code?: string }));
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError("is not valid UTF-8");
  }
}

/** The permissions of everyone but the owner. */
const OTHERS = 0o077;

async function checkPrivate(path: string, mode: number): Promise<void> {
  const { platform } = await import("node:process");
  if (platform === "win32" || (mode & OTHERS) === 0) return;
  const shown = (mode & 0o777).toString(8).padStart(4, "0");
  const file = /^[\w./][\w./-]*$/.test(path) ? path : "FILE";
  throw new UsageError(
    `its mode ${shown} lets other users of this machine access the secrets: ` +
      `run "chmod 600 ${file}"`,
  );
}

/**
 * Returns the permissions of a file, or `undefined` if it has none (on Windows) or cannot be
 * read.
 */
export async function fileMode(path: string): Promise<number | undefined> {
  const { platform } = await import("node:process");
  if (platform === "win32") return undefined;
  const { stat } = await import("node:fs/promises");
  return await stat(path).then(({ mode }) => mode, () => undefined);
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

/** Returns the text of a file, or `undefined` after a problem, which it adds to `problems`. */
export async function tryRead(
  read: ReadFile,
  path: string,
  problems: string[],
  options?: ReadOptions,
): Promise<string | undefined> {
  try {
    return await read(path, options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    problems.push(`${showPath(path)}: ${error.message}`);
  }
}

/** Resolves a path that a file has, relative to the folder of the file. */
export function besideFile(file: string, path: string): string {
  if (/^([\\/]|[A-Za-z]:)/.test(path)) return path;
  const folder = /^.*[\\/]/s.exec(file)?.[0] ?? "";
  return folder + path;
}
