/**
 * The only place that asks which runtime this is.
 *
 * @module
 */

import type { Transport } from "./transport.ts";

let found: Promise<Transport> | undefined;

/** The transport of the runtime that runs this; its adapter is loaded on the first call. */
export function detectTransport(): Promise<Transport> {
  return found ??= load();
}

async function load(): Promise<Transport> {
  const { Bun, Deno } = globalThis as { Bun?: unknown; Deno?: unknown };
  if (Deno) return (await import("./deno/transport.ts")).denoTransport;
  if (Bun) return (await import("./bun/transport.ts")).bunTransport;
  return (await import("./node/transport.ts")).nodeTransport;
}
