/**
 * The GSS-API library through `Deno.dlopen`.
 *
 * @module
 */

import { GssError } from "../error.ts";
import {
  ASYNC,
  type AsyncFunctions,
  type GssFunctions,
  SYNC,
  type SyncFunctions,
  translate,
} from "./functions.ts";

/** The members of `Deno` that are used here. */
interface DenoFfi {
  dlopen(library: string, symbols: Record<string, unknown>): {
    symbols: unknown;
  };
  readonly permissions: {
    querySync(wanted: { name: "ffi"; path: string }): { state: string };
  };
}

const TYPES = {
  p: "u64",
  b: "buffer",
  u: "u32",
  i: "i32",
  z: "usize",
  v: "void",
};

/** Opens the library. */
export function openDeno(library: string): GssFunctions {
  const { Deno: deno } = globalThis as unknown as { Deno: DenoFfi };
  // Without the permission, Deno would prompt for it, and a server must not wait for an answer.
  const wanted = { name: "ffi", path: library } as const;
  if (deno.permissions.querySync(wanted).state !== "granted") {
    throw new GssError(
      "library",
      "Kerberos needs a permission: run Deno with --allow-ffi",
    );
  }
  const define = (name: string, parameters: string[], result: string) => ({
    name,
    parameters,
    result,
  });
  const off = translate(ASYNC, TYPES, (...it) => ({
    ...define(...it),
    nonblocking: true,
  }));
  const sync = translate(SYNC, TYPES, define);
  const { symbols } = deno.dlopen(library, { ...sync, ...off });
  return { ...symbols as SyncFunctions & AsyncFunctions };
}
