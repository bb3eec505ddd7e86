/**
 * The version that `--version` prints.
 *
 * @module
 */

/**
 * The version in deno.json; a test compares them. A module, unlike a file, is read
 * in the same way from source, from bundles and from npm.
 */
export const VERSION = "0.1.0";
