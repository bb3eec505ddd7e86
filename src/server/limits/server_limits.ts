/**
 * All that a server counts, alone or together with others.
 *
 * @module
 */

import type { Limits } from "../options.ts";
import {
  type ConnectionLimiter,
  LocalConnectionLimiter,
} from "./connection_limiter.ts";
import type { SharedLimitsStore } from "../cluster/store.ts";
import { type KeyedLimit, LocalKeyedLimit } from "./keyed_limit.ts";
import {
  SharedConnectionLimiter,
  SharedKeyedLimit,
  SharedRateLimiter,
} from "../cluster/shared_limits.ts";
import { RateLimiters } from "./rate_limiters.ts";

/** Where a server counts what its clients take. */
export interface ServerLimits {
  /** Sessions. */
  readonly connections: ConnectionLimiter;
  /** UDP associations of each client address. */
  readonly associations: KeyedLimit;
  /** Octets per second. */
  readonly rateLimiters: RateLimiters;
}

/** The counts of a server that is alone. */
export function localLimits(limits: Required<Limits>): ServerLimits {
  return {
    connections: new LocalConnectionLimiter(limits),
    associations: new LocalKeyedLimit(limits.associationsPerClient),
    rateLimiters: new RateLimiters(limits),
  };
}

/** The counts of one of several servers. */
export function sharedLimits(
  limits: Required<Limits>,
  books: SharedLimitsStore,
  servers: number,
): ServerLimits {
  const { associationsPerClient } = limits;
  return {
    connections: new SharedConnectionLimiter(limits, books, servers),
    associations: new SharedKeyedLimit(
      "associationsPerClient",
      associationsPerClient,
      books,
      servers,
    ),
    rateLimiters: new RateLimiters(
      limits,
      undefined,
      (user, rate) => new SharedRateLimiter(user, rate, books),
    ),
  };
}
