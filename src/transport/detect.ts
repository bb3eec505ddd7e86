/**
 * The only module that detects the runtime.
 *
 * @module
 */

import type { Transport } from "./transport.ts";

/** A supported runtime. */
export type RuntimeName = "deno" | "bun" | "node";

/**
 * Returns the runtime that this code is running on, without loading anything.
 *
 * @example
 * ```ts
 * import { detectRuntime } from "@x/socks5/transport";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(detectRuntime(), "deno");
 * ```
 */
export function detectRuntime(): RuntimeName {
  const { Bun, Deno } = globalThis as { Bun?: unknown; Deno?: unknown };
  if (Deno) return "deno";
  return Bun ? "bun" : "node";
}

let found: Promise<Transport> | undefined;

/**
 * Returns the transport of this runtime. Its adapter is loaded on the first call.
 *
 * @example
 * ```ts
 * import { detectTransport } from "@x/socks5/transport";
 *
 * const transport = await detectTransport();
 * const listener = await transport.listen(
 *   { hostname: "127.0.0.1", port: 0 },
 *   (conn) => conn.close(),
 * );
 * await listener.close();
 * ```
 */
export function detectTransport(): Promise<Transport> {
  return found ??= load();
}

async function load(): Promise<Transport> {
  switch (detectRuntime()) {
    case "deno":
      return (await import("./deno/transport.ts")).denoTransport;
    case "bun":
      return (await import("./bun/transport.ts")).bunTransport;
    case "node":
      return (await import("./node/transport.ts")).nodeTransport;
  }
}
