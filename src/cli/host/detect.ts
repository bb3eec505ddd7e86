/**
 * Chooses the {@linkcode Host} of the runtime.
 *
 * @module
 */

import { detectRuntime } from "../../transport/detect.ts";
import { bunHost, type BunOutput } from "./bun.ts";
import { denoHost, type DenoProcess } from "./deno.ts";
import type { Host } from "./host.ts";
import { nodeHost, type NodeProcess } from "./node.ts";

/**
 * Returns the host of the current runtime. It uses the global objects of each
 * runtime, which are already there: loading `node:process` on Deno, or reading
 * `process.stdout` on Bun, takes a considerable part of the time until the server
 * listens.
 */
export function detectHost(): Host {
  const global = globalThis as unknown as {
    Deno: DenoProcess;
    Bun: BunOutput;
    process: NodeProcess;
  };
  switch (detectRuntime()) {
    case "deno":
      return denoHost(global.Deno); // reading `process` would load it
    case "bun":
      return bunHost(global.process, global.Bun);
    case "node":
      return nodeHost(global.process);
  }
}
