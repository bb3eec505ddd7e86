/**
 * What serves: one server in this process, or several workers.
 *
 * @module
 */

import type { MetricValues } from "../../server/metrics.ts";
import { serve, type ServerUpdate } from "../../server/serve.ts";
import type { Address } from "../../transport/transport.ts";
import { stopAccepting } from "./stop_accepting.ts";
import type { FileReader } from "../config/files.ts";
import type { Given } from "../config/flags.ts";
import type { Loaded } from "../config/load.ts";
import type { Log } from "../output/log.ts";
import { watch } from "./watch.ts";
import { countWorkers, openLauncher } from "../workers/channel.ts";

/** A server, whatever it is made of. */
export interface Running {
  /** Where it listens. */
  readonly addr: Address;
  /** How many workers, if there are several. */
  readonly workers?: number;
  /** The ids of their processes, if they are some. */
  readonly pids?: readonly number[];
  /** Whether anybody can come in: of workers one listens at least. */
  readonly isListening: boolean;
  /** What there is to tell of it; nothing when metrics are not told. */
  metrics(): Promise<MetricValues>;
  /** Serves by other options from now on; when it rejects, all stays as it was. */
  update(options: ServerUpdate, loaded: Loaded): Promise<void>;
  /** Lets no more clients in, and gives how many sessions are open. */
  closeDoor(): number | Promise<number>;
  /** Lets them end. */
  shutdown(options: { readonly grace: number }): Promise<void>;
  /** Ends what would not end with this process. */
  end(): Promise<void>;
}

/** What {@linkcode start} works with. */
export interface StartOptions {
  readonly given: Given;
  readonly loaded: Loaded;
  readonly files: FileReader;
  readonly log: Log;
}

/**
 * Starts what is asked for.
 *
 * @throws as `serve()` does.
 * @throws {UsageError} when there cannot be so many workers.
 */
export async function start(options: StartOptions): Promise<Running> {
  const size = await countWorkers(options.loaded.workers);
  return size > 1 ? await startCrew(options, size) : await startAlone(options);
}

async function startAlone({ loaded, log }: StartOptions): Promise<Running> {
  const { onEvent, readMetrics } = watch(loaded.metrics !== undefined, log);
  const server = await serve({ ...loaded.options, onEvent });
  return {
    addr: server.addr,
    isListening: true,
    metrics: () => Promise.resolve(readMetrics()),
    update: (options) => server.update(options),
    closeDoor: () => stopAccepting(server),
    shutdown: (options) => server.shutdown(options),
    end: () => Promise.resolve(),
  };
}

async function startCrew(
  { given, loaded, files, log }: StartOptions,
  size: number,
): Promise<Running> {
  // Only now: most servers have no workers.
  const { Supervisor } = await import("../workers/supervisor.ts");
  const workshop = await openLauncher();
  return await Supervisor.start({
    size,
    workshop,
    given,
    loaded,
    files: () => files.texts,
    note: log.tell,
  });
}
