/**
 * The functions of the GSS-API library, as all foreign function interfaces provide them.
 *
 * @module
 */

/** An address in native memory; 0 for none. */
export type Pointer = bigint;

/**
 * The types of arguments and results, one letter each: `p` an address, `b` bytes in the
 * memory of JavaScript, `u` a 32-bit unsigned integer, `i` an int, `z` a size, `v` nothing.
 */
export type Letter = "p" | "b" | "u" | "i" | "z" | "v";

/** A native function: its symbol, the letters of its arguments, and that of its result. */
export type Signature = readonly [symbol: string, args: string, result: Letter];

/** Bytes that a native function reads or fills during the call. */
type Bytes = Uint8Array;
/** The two status codes of GSS-API: the result, and the bytes of the minor one. */
type Major = number;

/** The functions that return at once. They block the event loop. */
export interface SyncFunctions {
  malloc(size: bigint): Pointer;
  free(address: Pointer): void;
  copyIn(to: Pointer, from: Bytes, size: bigint): void;
  copyOut(to: Bytes, from: Pointer, size: bigint): void;
  // deno-fmt-ignore
  acquireCredFrom(minor: Bytes, name: Pointer, time: number, mechs: Pointer, usage: number,
    store: Pointer, cred: Bytes, actualMechs: Pointer, timeRec: Pointer): Major;
  releaseCred(minor: Bytes, cred: Bytes): Major;
  // deno-fmt-ignore
  acceptSecContext(minor: Bytes, context: Pointer, cred: Pointer, input: Bytes, bindings: Pointer,
    source: Bytes, mech: Pointer, output: Bytes, flags: Bytes, time: Pointer, delegated: Pointer): Major;
  deleteSecContext(minor: Bytes, context: Pointer, output: Pointer): Major;
  displayName(minor: Bytes, name: Pointer, output: Bytes, type: Pointer): Major;
  releaseName(minor: Bytes, name: Bytes): Major;
  // deno-fmt-ignore
  displayStatus(minor: Bytes, status: number, type: number, mech: Pointer, more: Bytes, output: Bytes): Major;
  // deno-fmt-ignore
  wrap(minor: Bytes, context: Pointer, confidential: number, qop: number, input: Bytes,
    isConfidential: Bytes, output: Bytes): Major;
  // deno-fmt-ignore
  unwrap(minor: Bytes, context: Pointer, input: Bytes, output: Bytes, isConfidential: Bytes,
    qop: Pointer): Major;
  // deno-fmt-ignore
  wrapSizeLimit(minor: Bytes, context: Pointer, confidential: number, qop: number, size: number,
    limit: Bytes): Major;
  releaseBuffer(minor: Bytes, buffer: Bytes): Major;
  // Kerberos itself, whose library is linked as well. The results are codes; 0 is success.
  initContext(context: Bytes): number;
  freeContext(context: Pointer): void;
  defaultCache(context: Pointer, cache: Bytes): number;
  closeCache(context: Pointer, cache: Pointer): number;
  cachePrincipal(context: Pointer, cache: Pointer, principal: Bytes): number;
  freePrincipal(context: Pointer, principal: Pointer): void;
}

/** The functions that may contact a name server or a KDC, and run on another thread. */
export interface AsyncFunctions {
  importName(...args: AsyncArgs): Promise<Major>;
  initSecContext(...args: AsyncArgs): Promise<Major>;
}

/** Numbers and addresses in native memory, which other threads can reach. */
export type AsyncArgs = (Pointer | number)[];

/** All functions. */
export interface GssFunctions extends SyncFunctions, AsyncFunctions {}

/** The signatures of {@linkcode SyncFunctions}. The library is linked with that of C. */
export const SYNC = {
  malloc: ["malloc", "z", "p"],
  free: ["free", "p", "v"],
  copyIn: ["memcpy", "pbz", "v"],
  copyOut: ["memcpy", "bpz", "v"],
  acquireCredFrom: ["gss_acquire_cred_from", "bpupipbpp", "u"],
  releaseCred: ["gss_release_cred", "bb", "u"],
  acceptSecContext: ["gss_accept_sec_context", "bppbpbpbbpp", "u"],
  deleteSecContext: ["gss_delete_sec_context", "bpp", "u"],
  displayName: ["gss_display_name", "bpbp", "u"],
  releaseName: ["gss_release_name", "bb", "u"],
  displayStatus: ["gss_display_status", "buipbb", "u"],
  wrap: ["gss_wrap", "bpiubbb", "u"],
  unwrap: ["gss_unwrap", "bpbbbp", "u"],
  wrapSizeLimit: ["gss_wrap_size_limit", "bpiuub", "u"],
  releaseBuffer: ["gss_release_buffer", "bb", "u"],
  initContext: ["krb5_init_context", "b", "i"],
  freeContext: ["krb5_free_context", "p", "v"],
  defaultCache: ["krb5_cc_default", "pb", "i"],
  closeCache: ["krb5_cc_close", "pp", "i"],
  cachePrincipal: ["krb5_cc_get_principal", "ppb", "i"],
  freePrincipal: ["krb5_free_principal", "pp", "v"],
} as const satisfies Readonly<Record<keyof SyncFunctions, Signature>>;

/** The signatures of {@linkcode AsyncFunctions}. */
export const ASYNC = {
  importName: ["gss_import_name", "pppp", "u"],
  initSecContext: ["gss_init_sec_context", "pppppuupppppp", "u"],
} as const satisfies Readonly<Record<keyof AsyncFunctions, Signature>>;

/** Translates the letters of each signature into the types of a foreign function interface. */
export function translate<T>(
  signatures: Readonly<Record<string, Signature>>,
  types: Readonly<Record<Letter, string>>,
  define: (symbol: string, args: string[], result: string) => T,
): Record<string, T> {
  const entries = Object.entries(signatures).map((
    [name, [symbol, args, result]],
  ) => {
    const letters = [...args] as Letter[];
    const types_ = letters.map((it) => types[it]);
    return [name, define(symbol, types_, types[result])];
  });
  return Object.fromEntries(entries);
}
