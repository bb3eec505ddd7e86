/**
 * The interface of the running server: a single process, or several workers.
 *
 * @module
 */

import type { MetricValues } from "../../server/metrics.ts";
import type { ServerUpdate, ShutdownOptions } from "../../server/server.ts";
import type { Address } from "../../transport/transport.ts";
import type { CountedUser } from "../accounting/lazy_accounting.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { ServerControl } from "./control/control.ts";

/** A server in this process, or several workers that act as one server. */
export interface RunningServer {
  /** The address and port of the listener. */
  readonly addr: Address;
  /** Those of the listener without TLS beside it, if there is one. */
  readonly plainAddr?: Address;
  /** The number of workers, if there are several. */
  readonly workers?: number;
  /** The ids of the worker processes, if the workers are processes. */
  readonly pids?: readonly number[];
  /** Whether clients can connect. With workers, whether at least one of them is listening. */
  readonly isListening: boolean;
  /** The sessions and the lockouts, for the Admin API. */
  readonly control: ServerControl;
  /** Reads the metrics. Without the settings `metrics` and `admin` none are counted. */
  metrics(): Promise<MetricValues>;
  /**
   * Reports what users have transferred to the accounting of the program. Resolves when it is
   * counted, or after some seconds.
   */
  reportUsage(): Promise<void>;
  /** The totals of all users who are counted. */
  userTotals(): Promise<readonly CountedUser[]>;
  /** Replaces the options. When it rejects, nothing has changed. */
  update(options: ServerUpdate, loaded: LoadedConfig): Promise<void>;
  /** Prepares to stop: clients are accepted, but none is kept for another HTTP request. */
  drain(): void;
  /** Stops accepting connections. Returns the number of open sessions. */
  stopAccepting(): number | Promise<number>;
  /** Stops accepting connections, and resolves when the sessions have ended. */
  shutdown(options: Required<Pick<ShutdownOptions, "grace">>): Promise<void>;
  /** Ends everything that would outlive this process, without waiting for sessions. */
  terminate(): Promise<void>;
}
