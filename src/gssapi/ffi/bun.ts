/**
 * The GSS-API library through `bun:ffi`.
 *
 * @module
 */

import { createRequire } from "node:module";
import {
  ASYNC,
  type GssFunctions,
  SYNC,
  type SyncFunctions,
  translate,
} from "./functions.ts";
import { asyncFunctions } from "./threads.ts";

/** The members of `bun:ffi` that are used here. */
interface BunFfi {
  dlopen(library: string, symbols: Record<string, unknown>): {
    symbols: Record<string, unknown>;
  };
}

const TYPES = { p: "u64", b: "ptr", u: "u32", i: "i32", z: "u64", v: "void" };

/** Opens the library. */
export function openBun(library: string): GssFunctions {
  const require = createRequire(import.meta.url);
  const { dlopen } = require("bun:ffi") as BunFfi;
  const define = (symbol: string, args: string[], returns: string) => ({
    [symbol]: { args, returns },
  });
  const sync = translate(
    SYNC,
    TYPES,
    (symbol, ...types) =>
      dlopen(library, define(symbol, ...types)).symbols[symbol],
  );
  const off = translate(ASYNC, TYPES, define);
  return {
    ...sync as unknown as SyncFunctions,
    ...asyncFunctions("bun:ffi", library, off),
  };
}
