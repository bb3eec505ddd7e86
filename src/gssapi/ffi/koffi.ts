/**
 * The GSS-API library through `koffi`, a package for Node.js.
 *
 * @module
 */

import {
  ASYNC,
  type AsyncArgs,
  type GssFunctions,
  type Pointer,
  SYNC,
  type SyncFunctions,
  translate,
} from "./functions.ts";
import type { Koffi, KoffiFunction } from "../koffi.ts";
import { inTurn } from "./in_turn.ts";

const TYPES = {
  p: "uint64_t",
  b: "uint8_t *",
  u: "uint32_t",
  i: "int",
  z: "size_t",
  v: "void",
};

/**
 * How many calls wait for a KDC at a time: they run on threads of libuv, by default four,
 * which also read files and resolve names.
 */
const MAX_CALLS = 2;

/** Opens the library. */
export function openKoffi(koffi: Koffi, library: string): GssFunctions {
  const lib = koffi.load(library);
  const sync = translate(
    SYNC,
    TYPES,
    (symbol, types, result) => lib.func(symbol, result, types),
  ) as unknown as SyncFunctions;
  const off = translate(
    ASYNC,
    TYPES,
    (symbol, types, result) => calledOnThread(lib.func(symbol, result, types)),
  );
  const [importName, initSecContext] = [off.importName, off.initSecContext];
  // koffi returns small integers of 64 bits as numbers.
  const malloc = (size: bigint): Pointer => BigInt(sync.malloc(size));
  return { ...sync, malloc, importName, initSecContext };
}

function calledOnThread(
  native: KoffiFunction,
): (...args: AsyncArgs) => Promise<number> {
  const call = (args: AsyncArgs) =>
    new Promise<number>((resolve, reject) => {
      native.async(...args, (error: Error | null, result: number) => {
        if (error) reject(error);
        else resolve(result);
      });
    });
  return (...args) => turns(() => call(args));
}

const turns = inTurn(MAX_CALLS);
