/**
 * The global `process` of Node.js. An import of `node:process` would evaluate all of its
 * members, which opens the standard streams and loads the modules of reports.
 *
 * @module
 */

/** The members of `process` that are used here. */
interface NodeProcess {
  readonly versions: { readonly node: string };
  readonly platform: string;
  getBuiltinModule(name: "node:fs"): typeof import("node:fs");
}

export const { process } = globalThis as unknown as { process: NodeProcess };
