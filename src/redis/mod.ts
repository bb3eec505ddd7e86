/**
 * Limits, lockouts and usage that servers on several machines share, in Redis or Valkey.
 *
 * @example
 * ```ts
 * import { redisStore } from "@x/socks5/redis";
 *
 * await using store = redisStore({ url: "redis://127.0.0.1:1", lease: 10_000 });
 * console.log(store.state.isUp);
 * ```
 *
 * @module
 */

export type { RedisClient } from "./client.ts";
export type { RedisStoreOptions } from "./options.ts";
export {
  type RedisStore,
  redisStore,
  type RedisStoreState,
} from "./redis_store.ts";
export type {
  LimitRequest,
  LimitSlot,
  PassRequest,
  RateRequest,
  SharedLimitsStore,
  SlotRequest,
} from "../server/cluster/store.ts";
export type {
  LockedClient,
  LockoutOptions,
  LoginGuard,
} from "../server/auth/lockout.ts";
export type {
  Usage,
  UsageReport,
  UsageStore,
  UserTotals,
} from "../server/accounting/usage_store.ts";
export type { Limits } from "../server/options.ts";
export type { Clock } from "../transport/clock.ts";
export type { Timeout } from "../transport/timeouts.ts";
