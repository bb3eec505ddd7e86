/**
 * The options of a store in Redis.
 *
 * @module
 */

import type { LockoutOptions } from "../server/auth/lockout.ts";
import type { Clock } from "../transport/clock.ts";
import type { RedisClient } from "./client.ts";

/** Options of {@linkcode redisStore}. */
export interface RedisStoreOptions extends LockoutOptions {
  /**
   * Where Redis or Valkey is: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, `rediss://…`
   * for TLS with a verified certificate, or `unix:/PATH` (with `?db=1` for a database). On
   * Bun its own client connects, elsewhere the package `redis` of npm, which has to be
   * installed; it needs `--allow-env=REDIS_DEBUG_MAINTENANCE,REDIS_EMIT_DIAGNOSTICS` on Deno.
   * Required without `client`.
   */
  readonly url?: string;
  /**
   * A client of your own in place of `url`. It has to connect again by itself, and is not
   * closed with the store.
   */
  readonly client?: RedisClient;
  /**
   * The name of this node, which no other node may have at the same time. A successor of the
   * same name frees at once what its predecessor held. By default a random one.
   */
  readonly node?: string;
  /**
   * After how many milliseconds without a sign of life the slots of a node are released, at
   * least 300. A third of it is the interval of the heartbeat, and that of attempts to reach
   * a Redis that does not answer.
   *
   * @default {10_000}
   */
  readonly lease?: number;
  /**
   * How long Redis may take to answer, in milliseconds, before it counts as not reachable
   * for all calls until the next heartbeat.
   *
   * @default {500}
   */
  readonly timeout?: number;
  /** The beginning of all keys; stores with the same one share limits. @default {"socks5"} */
  readonly prefix?: string;
  /**
   * Whether requests are refused while Redis is not reachable. By default each node then
   * counts for itself, against the same limits, and against quotas from the totals that it
   * knows.
   *
   * @default {false}
   */
  readonly strict?: boolean;
  /** Called once when Redis is not reachable. The error's message has no password. */
  readonly onLost?: (error: Error) => void;
  /** Called when Redis is used, for the first time or again. */
  readonly onFound?: () => void;
  /** The clock of timeouts and of everything that is counted locally. */
  readonly clock?: Clock;
}
