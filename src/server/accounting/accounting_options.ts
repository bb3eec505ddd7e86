/**
 * How a server counts, as an option of `serve()`.
 *
 * @module
 */

import type { UsageStore } from "./usage_store.ts";

/** How the server counts what users transfer. */
export interface AccountingOptions {
  /**
   * Counts for this server, or for several. If it fails, usage is kept and reported again,
   * users with a quota cannot log in, and their sessions continue as long as the quota lasts
   * by what was known before. By default a {@linkcode LocalUsageStore} of this server.
   */
  readonly store?: UsageStore;
  /**
   * How often the usage of open sessions is reported, in milliseconds; 0 = only when they end.
   * Users with a quota are reported each second in any case.
   *
   * @default {60_000}
   */
  readonly interval?: number;
}
