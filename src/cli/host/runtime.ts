/**
 * Stands in for `detectRuntime()` of `src/transport/detect.ts`.
 *
 * @module
 */

/** Returns the runtime that runs this module. */
export function detectRuntime(): "deno" | "bun" | "node" {
  return "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
}
