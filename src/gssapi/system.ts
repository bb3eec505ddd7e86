/**
 * The Kerberos library of the system: `Deno.dlopen`, `bun:ffi`, or on Node.js the package
 * `koffi`, else `node:ffi`, which is experimental. Only 64-bit Linux is supported.
 *
 * @module
 */

import { detectRuntime } from "../transport/detect.ts";
import { GssError } from "./error.ts";
import type { GssFunctions } from "./ffi/functions.ts";
import type { Koffi } from "./koffi.ts";
import { Acceptor } from "./native/acceptor.ts";
import { Credential } from "./native/credential.ts";
import { Initiator } from "./native/initiator.ts";
import { GssLibrary } from "./native/library.ts";
import type { GssProvider } from "./provider.ts";

/** Where the library is. */
export interface LibraryOptions {
  /** The library of MIT Kerberos. @default {"libgssapi_krb5.so.2"} */
  readonly library?: string;
  /**
   * The package `koffi`, where Node.js cannot find it by itself, for example in a bundle.
   * Other runtimes do not need it.
   */
  readonly koffi?: Koffi;
}

/** The keys of an acceptor, and the library. */
export interface AcceptorOptions extends LibraryOptions {
  readonly keytab?: string;
  readonly service?: string;
}

/**
 * Loads the library, and opens the keytab, so that a missing one is noticed before the
 * first client. Keys that are added to it later are found. Rejects with a `GssError`.
 */
export async function systemAcceptor(
  { keytab, service, ...options }: AcceptorOptions,
): Promise<Pick<GssProvider, "accept">> {
  const library = await openLibrary(options);
  const handle = await library.acquireAcceptor(keytab, service);
  const credential = new Credential(library, handle);
  return { accept: () => new Acceptor(library, credential) };
}

/** Loads the library. Rejects with a `GssError`. */
export async function systemInitiator(
  options: LibraryOptions,
): Promise<Pick<GssProvider, "initiate">> {
  const library = await openLibrary(options);
  return { initiate: (service) => new Initiator(library, service) };
}

const LIBRARY = "libgssapi_krb5.so.2";
const libraries = new Map<string, Promise<GssLibrary>>();

/** Opens each library once: threads and native memory belong to it. */
function openLibrary(
  { library: path = LIBRARY, koffi }: LibraryOptions,
): Promise<GssLibrary> {
  const known = libraries.get(path);
  if (known) return known;
  const opening = open(path, koffi).then((it) => new GssLibrary(it));
  libraries.set(path, opening);
  opening.catch(() => libraries.delete(path)); // it may be installed later
  return opening;
}

async function open(path: string, koffi?: Koffi): Promise<GssFunctions> {
  try {
    switch (detectRuntime()) {
      case "deno":
        return (await import("./ffi/deno.ts")).openDeno(path);
      case "bun":
        return (await import("./ffi/bun.ts")).openBun(path);
      case "node":
        return await openOnNode(path, koffi);
    }
  } catch (error) {
    if (error instanceof GssError) throw error;
    const reason = (error as Error).message;
    throw new GssError(
      "library",
      `cannot load ${path} of MIT Kerberos (${reason}): install it, on Debian ` +
        "by `apt install libgssapi-krb5-2`",
      error,
    );
  }
}

async function openOnNode(path: string, koffi?: Koffi): Promise<GssFunctions> {
  const { createRequire } = await import("node:module");
  const require = createRequire(import.meta.url);
  try {
    koffi ??= require("koffi") as Koffi;
  } catch (error) {
    if (hasNodeFfi()) return (await import("./ffi/node.ts")).openNode(path);
    const message =
      "Kerberos needs the package koffi on Node.js: `npm install koffi`";
    throw new GssError("library", message, error);
  }
  return (await import("./ffi/koffi.ts")).openKoffi(koffi, path);
}

function hasNodeFfi(): boolean {
  const { process } = globalThis as unknown as NodeGlobal;
  return process.getBuiltinModule?.("node:ffi") !== undefined;
}

interface NodeGlobal {
  readonly process: { getBuiltinModule?(name: string): unknown };
}
