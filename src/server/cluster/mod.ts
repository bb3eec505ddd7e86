/**
 * Limits that hold for several servers together: the store's interface, and a
 * store for the servers and workers of one machine.
 *
 * @example Two servers in one process that share their limits
 * ```ts
 * import { Coordinator } from "@x/socks5/cluster";
 * import { serve } from "@x/socks5/server";
 *
 * const coordinator = new Coordinator();
 * const limits = { sessions: 1_000, sessionsPerClient: 10 };
 * await using first = await serve({
 *   port: 0,
 *   limits,
 *   sharedLimits: { store: coordinator.open(), servers: 2 },
 * });
 * await using second = await serve({
 *   port: 0,
 *   limits,
 *   sharedLimits: { store: coordinator.open(), servers: 2 },
 * });
 * ```
 *
 * @module
 */

export { Coordinator, type WorkerLimits } from "./coordinator.ts";
export type {
  LimitRequest,
  LimitSlot,
  PassRequest,
  RateRequest,
  SharedLimitsStore,
  SlotRequest,
} from "./store.ts";
export type { Limits, SharedLimits } from "../options.ts";
export {
  Lockout,
  type LockoutOptions,
  type LoginGuard,
} from "../auth/lockout.ts";
export type { Clock } from "../../transport/clock.ts";
export type { Timeout } from "../../transport/timeouts.ts";
