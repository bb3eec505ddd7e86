/**
 * A server in this process, with its log and its metrics.
 *
 * @module
 */

import type { ServerEvent } from "../../server/events.ts";
import { Metrics } from "../../server/metrics.ts";
import type { ServeOptions } from "../../server/options.ts";
import { serve } from "../../server/serve.ts";
import type { Log } from "../output/log.ts";
import type { SharedMachines } from "./shared_limits.ts";
import type { RunningServer } from "./running_server.ts";

/** Options of {@linkcode startSingleServer}. */
export interface SingleServerOptions {
  /** The options of `serve()`. */
  readonly options: Omit<ServeOptions, "onEvent">;
  /** Receives the events. */
  readonly log: Log;
  /** Whether to count metrics. Without, sessions do not pay for counting. */
  readonly countsMetrics: boolean;
  /** Counts also for other machines. */
  readonly shared?: SharedMachines;
}

/**
 * Starts a server in this process.
 *
 * @throws as `serve()` does.
 */
export async function startSingleServer(
  { options, log, countsMetrics, shared }: SingleServerOptions,
): Promise<RunningServer> {
  const metrics = countsMetrics ? new Metrics() : undefined;
  const onEvent = metrics ? countAndLog(metrics, log) : log.onEvent;
  const server = await serve({
    ...options,
    ...shared && {
      sharedLimits: { store: shared.store, limits: shared.limits },
    },
    onEvent,
  });
  return {
    addr: server.addr,
    plainAddr: server.plainAddr,
    isListening: true,
    metrics: () => Promise.resolve(metrics?.read() ?? {}),
    async update(options, { lockout }) {
      await server.update(options);
      shared?.store.setLockout(lockout);
    },
    drain() {
      void server.shutdown({ drainDelay: Infinity });
    },
    stopAccepting() {
      void server.shutdown({ grace: Infinity });
      return server.sessions.length;
    },
    shutdown: (options) => server.shutdown(options),
    terminate: () => Promise.resolve(),
  };
}

function countAndLog(
  metrics: Metrics,
  { onEvent }: Log,
): (event: ServerEvent) => void {
  return (event) => {
    metrics.onEvent(event);
    onEvent?.(event);
  };
}
