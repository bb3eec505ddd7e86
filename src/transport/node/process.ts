/**
 * Node's `process` without an import of `node:process`, which would look at all
 * members and thereby open the standard streams and load what reports need.
 *
 * @module
 */

/** The members that are used here. */
interface NodeProcess {
  readonly versions: { readonly node: string };
  readonly platform: string;
  /** From Node.js 20.16 and 22.3 on. */
  getBuiltinModule?(name: "node:fs"): typeof import("node:fs");
}

export const { process } = globalThis as unknown as { process: NodeProcess };
