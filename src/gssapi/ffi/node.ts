/**
 * The GSS-API library through `node:ffi`, which Node.js has since version 26.1.
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

/** The members of `node:ffi` that are used here. */
interface NodeFfi {
  dlopen(library: string): { lib: NodeLibrary };
}

interface NodeLibrary {
  getFunction(symbol: string, signature: unknown): unknown;
}

const TYPES = {
  p: "u64",
  b: "buffer",
  u: "u32",
  i: "i32",
  z: "u64",
  v: "void",
};

/** Opens the library. */
export function openNode(library: string): GssFunctions {
  const require = createRequire(import.meta.url);
  const { dlopen } = require("node:ffi") as NodeFfi;
  // An opened library has one signature for each symbol, and `memcpy` has two.
  const sync = translate(
    SYNC,
    TYPES,
    (symbol, types, result) =>
      dlopen(library).lib.getFunction(symbol, {
        arguments: types,
        return: result,
      }),
  );
  const off = translate(ASYNC, TYPES, (symbol, types, result) => ({
    [symbol]: { arguments: types, return: result },
  }));
  return {
    ...sync as unknown as SyncFunctions,
    ...asyncFunctions("node:ffi", library, off),
  };
}
