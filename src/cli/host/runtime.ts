export function detectRuntime(): "deno" | "bun" | "node" {
  return "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
}
