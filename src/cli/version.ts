/**
 * The version that `--version` tells.
 *
 * @module
 */

/** The same as in deno.json, which a test makes sure of: a module is read the same way from source, bundles and npm. */
export const VERSION = "0.1.0";
