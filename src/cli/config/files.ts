/**
 * The files of a configuration.
 *
 * @module
 */

import { detectRuntime } from "../../transport/detect.ts";
import type { Input } from "../host/host.ts";
import { showMessage, showPath } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";

/** The path of `--config` that stands for the standard input. */
export const STANDARD_INPUT = "-";

/** Options of {@linkcode ReadFile}. */
export interface ReadOptions {
  /** Refuses a file that other users of this machine may access (not on Windows). */
  readonly isPrivate?: boolean;
}

/** Reads a file as text. */
export type ReadFile = (path: string, options?: ReadOptions) => Promise<string>;

/** Reads files and the standard input, and keeps the latest text of each. */
export class ConfigFileReader {
  readonly #input: Pick<Input, "read">;
  readonly #texts = new Map<string, string>();

  /** Reads `input` for the path {@linkcode STANDARD_INPUT}. */
  constructor(input: Pick<Input, "read">) {
    this.#input = input;
  }

  /** See {@linkcode ReadFile}. */
  readonly read: ReadFile = async (path, options) => {
    const text = path === STANDARD_INPUT
      ? decode(await readInput(this.#input))
      : await readFile(path, options);
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
  return decode(bytes);
}

/** More than any configuration has: an endless input must not fill the memory. */
const MAX_INPUT = 2 ** 24;

async function readInput(input: Pick<Input, "read">): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let chunk; (chunk = await input.read());) {
    length += chunk.length;
    if (length > MAX_INPUT) throw new UsageError("is longer than 16 MiB");
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/** Decodes UTF-8, without a byte order mark. */
function decode(bytes: Uint8Array): string {
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
  return REASONS[code] ?? `cannot be read: ${showMessage(message)}`;
}

/** The name of a file in error messages. */
export function fileName(path: string): string {
  return path === STANDARD_INPUT ? "standard input" : showPath(path);
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
    problems.push(`${fileName(path)}: ${error.message}`);
  }
}

/** Resolves a path that a file has, relative to the folder of the file. */
export function besideFile(file: string, path: string): string {
  if (/^([\\/]|[A-Za-z]:)/.test(path)) return path;
  const folder = /^.*[\\/]/s.exec(file)?.[0] ?? "";
  return folder + path;
}
