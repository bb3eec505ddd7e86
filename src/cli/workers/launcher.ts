/**
 * Chooses the launcher of the runtime, and the number of workers.
 *
 * @module
 */

import { detectRuntime } from "../../transport/detect.ts";
import type { WorkerCount } from "../config/config.ts";
import type { Launcher } from "./channel.ts";

/**
 * Opens the launcher of the runtime: threads on Deno, processes elsewhere.
 *
 * @throws {UsageError} if a flag or a permission of Deno is missing.
 */
export async function openLauncher(): Promise<Launcher> {
  return detectRuntime() === "deno"
    ? (await import("./threads.ts")).openThreads()
    : await (await import("./processes.ts")).openProcesses();
}

/** Resolves `auto` to the number of processor cores. */
export async function countWorkers(configured: WorkerCount): Promise<number> {
  if (configured !== "auto") return configured;
  if (detectRuntime() === "deno") return navigator.hardwareConcurrency;
  return (await import("node:os")).availableParallelism();
}
