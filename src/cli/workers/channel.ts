/**
 * The way between a worker and the process that started it, whatever a worker
 * is on the runtime: a process or a thread.
 *
 * @module
 */

import type { WorkerCount } from "../config/config.ts";
import { UsageError } from "../usage_error.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

/** How a worker ended; of a thread that failed there is neither code nor signal. */
export interface Exit {
  readonly code?: number;
  readonly signal?: string;
  readonly error?: string;
}

/** What a worker's starter is called back for. */
export interface WorkerHandlers {
  onMessage(message: FromWorker): void;
  /** It is gone, and nothing comes from it any more. Called once. */
  onExit(exit: Exit): void;
}

/** A worker, as who started it sees it. */
export interface WorkerChannel {
  /** Of its process; a thread has none of its own. */
  readonly pid: number | undefined;
  /** Does nothing when the worker is gone. */
  post(message: ToWorker): void;
  /** Ends it whatever it does. */
  kill(): void;
}

/** Starts workers. */
export interface Launcher {
  /** Whether all workers have to ask for the same port, and get what the first one got. */
  readonly portsAreShared: boolean;
  start(handlers: WorkerHandlers): WorkerChannel;
}

/** Who started a worker, as the worker sees it. */
export interface PrimaryChannel {
  onMessage(listener: (message: ToWorker) => void): void;
  post(message: FromWorker): void;
  /** Ends the worker, for it has done what it was to do. */
  end(): void;
}

/**
 * What starts workers on the runtime that runs this.
 *
 * @throws {UsageError} when it may not.
 */
export async function openLauncher(): Promise<Launcher> {
  if (!("Deno" in globalThis)) {
    return await (await import("./processes.ts")).processes();
  }
  const { threads, whyNoThreads } = await import("./threads.ts");
  const why = whyNoThreads();
  if (why !== undefined) throw new UsageError(why);
  return threads;
}

/** How many workers are meant. */
export async function countWorkers(wanted: WorkerCount): Promise<number> {
  if (wanted !== "auto") return wanted;
  if ("Deno" in globalThis) return navigator.hardwareConcurrency;
  return (await import("node:os")).availableParallelism();
}
