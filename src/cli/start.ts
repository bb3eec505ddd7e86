/**
 * Starts what the configuration asks for: a single server, or several workers.
 *
 * @module
 */

import type { LazyAccounting } from "./accounting/lazy_accounting.ts";
import type { ConfigFileReader } from "./config/files.ts";
import type { CommandLine } from "./config/flags.ts";
import type { LoadedConfig } from "./config/load.ts";
import type { Log } from "./output/log.ts";
import type { RunningServer } from "./serve/running_server.ts";
import type { SharedMachines } from "./serve/shared_limits.ts";
import { countsMetrics, startSingleServer } from "./serve/single_server.ts";
import { countWorkers, openLauncher } from "./workers/launcher.ts";

/** Options of {@linkcode startServer}. */
export interface StartOptions {
  /** The flags and the environment. */
  readonly commandLine: CommandLine;
  /** The configuration made of them and the files. */
  readonly loaded: LoadedConfig;
  /** The files that were read for it. */
  readonly files: ConfigFileReader;
  readonly log: Log;
  /** Counts what users transfer. */
  readonly accounting: LazyAccounting;
  /** Counts also for other machines. */
  readonly shared?: SharedMachines;
}

/**
 * Starts the server in this process, or several workers.
 *
 * @throws as `serve()` does.
 * @throws {UsageError} if the runtime cannot start several workers.
 */
export async function startServer(
  options: StartOptions,
): Promise<RunningServer> {
  const { loaded, log, shared, accounting } = options;
  const workers = await countWorkers(loaded.workers);
  if (workers > 1) return await startWorkers(options, workers);
  return await startSingleServer({
    options: {
      ...loaded.options,
      accounting: { store: accounting, interval: loaded.accounting ?? 0 },
    },
    accounting,
    log,
    countsMetrics: countsMetrics(loaded),
    guard: loaded.guard,
    shared,
  });
}

async function startWorkers(
  { commandLine, loaded, files, log, shared, accounting }: StartOptions,
  workers: number,
): Promise<RunningServer> {
  // Loaded lazily: most servers have no workers.
  const { Supervisor } = await import("./workers/supervisor.ts");
  return await Supervisor.start({
    workers,
    launcher: await openLauncher(),
    commandLine,
    loaded,
    files: () => files.texts,
    log: log.printNow,
    accounting,
    shared,
  });
}
