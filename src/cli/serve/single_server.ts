/**
 * A server in this process, with its log and its metrics.
 *
 * @module
 */

import type { ServerEvent } from "../../server/events.ts";
import { Metrics, NO_TOTALS } from "../../server/metrics.ts";
import type { ServeOptions } from "../../server/options.ts";
import { serve } from "../../server/serve.ts";
import type { LazyAccounting } from "../accounting/lazy_accounting.ts";
import type { LoginGuard } from "../../server/auth/lockout.ts";
import type { ProgramConfig } from "../config/config.ts";
import type { Log } from "../output/log.ts";
import { lazyControl } from "./control/lazy_control.ts";
import type { SharedMachines } from "./shared_limits.ts";
import type { RunningServer } from "./running_server.ts";

/** Whether the events of a server are counted: the metrics and the Admin API need it. */
export function countsMetrics(
  { metrics, admin }: Pick<ProgramConfig, "metrics" | "admin">,
): boolean {
  return metrics !== undefined || admin !== undefined;
}

/** Options of {@linkcode startSingleServer}. */
export interface SingleServerOptions {
  /** The options of `serve()`. */
  readonly options: Omit<ServeOptions, "onEvent">;
  /** Counts users, if that is wanted; a worker's is in the supervisor. */
  readonly accounting?: LazyAccounting;
  /** Receives the events. */
  readonly log: Log;
  /** Whether to count metrics. Without, sessions do not pay for counting. */
  readonly countsMetrics: boolean;
  /** Counts failed logins, until an update replaces it. */
  readonly guard: LoginGuard;
  /** The number of the worker, if there are several. */
  readonly worker?: number;
  /** Counts also for other machines. */
  readonly shared?: SharedMachines;
}

/**
 * Starts a server in this process.
 *
 * @throws as `serve()` does.
 */
export async function startSingleServer(
  { options, accounting, log, countsMetrics, guard, worker, shared }:
    SingleServerOptions,
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
  let { userAttributes } = options;
  let currentGuard = guard;
  return {
    control: lazyControl({
      server,
      worker,
      totals: () => metrics?.totals() ?? NO_TOTALS,
      guard: () => currentGuard,
    }),
    addr: server.addr,
    plainAddr: server.plainAddr,
    isListening: true,
    metrics: () => Promise.resolve(metrics?.read() ?? {}),
    reportUsage: () => server.reportUsage(),
    userTotals: () =>
      accounting?.totals(server, userAttributes) ?? Promise.resolve([]),
    async update(options, { guard, lockout }) {
      await server.update(options);
      userAttributes = options.userAttributes;
      currentGuard = guard;
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
    terminate: () => server.reportUsage(),
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
