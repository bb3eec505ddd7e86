/**
 * The store of limits that the program shares with those on other machines.
 *
 * @module
 */

import type { MachinesStore } from "../../server/cluster/divided_limits.ts";
import type { UsageStore } from "../../server/accounting/usage_store.ts";
import type {
  LockedClient,
  LockoutOptions,
} from "../../server/auth/lockout.ts";
import type { LimitName } from "../../server/limits/limit_table.ts";
import type { MetricFamily, MetricValues } from "../../server/metrics.ts";
import type { LoadedConfig } from "../config/load.ts";
import { EXIT, StartError } from "../failure.ts";
import type { LogRecord } from "../output/record.ts";
import { UsageError } from "../usage_error.ts";

/** The metrics of {@linkcode SharedMachines}. */
export const SHARED_METRICS: readonly MetricFamily[] = [
  {
    name: "socks5_shared_up",
    type: "gauge",
    help:
      "Whether the limits of several machines hold: 0 if Redis is not reachable",
  },
  {
    name: "socks5_shared_errors_total",
    type: "counter",
    help: "How often Redis did not answer, or could not be reached",
  },
];

/** The limits that are always shared. */
const LIMITS: readonly LimitName[] = [
  "sessionsPerUser",
  "bytesPerSecondPerUser",
];
/** Those that are shared if asked for. */
const LIMITS_OF_CLIENTS: readonly LimitName[] = [
  "sessionsPerClient",
  "connectionsPerSecondPerClient",
];

/** A store, and the limits that it counts. */
export interface SharedMachines {
  readonly store: MachinesStore & UsageStore & {
    setLockout(options: LockoutOptions): void;
    locked(): Promise<LockedClient[]>;
    unlock(client?: string): Promise<number>;
  };
  readonly limits: readonly LimitName[];
  metrics(): MetricValues;
  /** Releases everything that this machine holds. */
  close(): Promise<void>;
}

/**
 * Opens the store that the configuration names. Without `sharedStrict` the program starts
 * also if it is not reachable; `log` gets a record then, and at each change.
 *
 * @throws {StartError} if it is not reachable, with `sharedStrict`.
 * @throws {UsageError} if the package that is needed for it cannot be loaded.
 */
export async function openSharedLimits(
  { shared, sharedStrict, sharedClients, lockout }: LoadedConfig,
  log: (record: LogRecord) => void,
): Promise<SharedMachines> {
  // Loaded lazily: most programs serve one machine.
  const { redisStore } = await import("../../redis/mod.ts");
  let failure: Error | undefined;
  let isStarting = true;
  const store = redisStore({
    ...lockout,
    url: shared!,
    strict: sharedStrict,
    onLost(error) {
      failure = error;
      if (isStarting && sharedStrict) return;
      const { message } = error;
      log({ type: "shared-lost", error: message, isStrict: sharedStrict });
    },
    onFound() {
      if (failure) log({ type: "shared-found" });
      failure = undefined;
    },
  });
  try {
    await store.ready;
  } catch (error) {
    const { message, cause } = error as Error;
    const isMissing = (cause as Error | undefined)?.name === "MissingPackage";
    if (isMissing || sharedStrict) await store.close();
    if (isMissing) throw new UsageError(`--shared: ${message}`);
    if (sharedStrict) {
      throw new StartError(
        `the limits cannot be shared: ${message}; leave out --shared-strict to start ` +
          "with limits of this machine",
        EXIT.failed,
      );
    }
  }
  isStarting = false;
  return {
    store,
    limits: sharedClients ? [...LIMITS, ...LIMITS_OF_CLIENTS] : LIMITS,
    metrics: () => ({
      socks5_shared_up: store.state.isUp ? 1 : 0,
      socks5_shared_errors_total: store.state.errors,
    }),
    close: () => store.close(),
  };
}
