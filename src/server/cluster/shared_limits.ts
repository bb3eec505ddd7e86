/**
 * The limiters of a server that shares its limits with others. It acquires
 * slots of its own share at once, and asks a store for all others.
 *
 * @module
 */

import type { Clock } from "../../transport/clock.ts";
import type { LimitValues } from "../limits/limit_table.ts";
import { RateLimiters } from "../limits/rate_limiters.ts";
import { commandLimits, type ServerLimits } from "../limits/server_limits.ts";
import { NOT_SHARED } from "../limits/sharing.ts";
import type { SharingSettings } from "../settings.ts";
import { CheckedStore, type OnLimitsError } from "./checked_store.ts";
import { SharedConnectionLimiter } from "./shared_connection_limiter.ts";
import { SharedKeyedLimit } from "./shared_keyed_limit.ts";
import { SharedRateLimiter } from "./shared_rate_limiter.ts";

/** The limiters of one of several servers. */
export function sharedLimits(
  limits: LimitValues,
  clock: Clock,
  { store: given, servers }: SharingSettings,
  onError: OnLimitsError,
): ServerLimits {
  const store = new CheckedStore(given, onError);
  const sharesRate = servers.bytesPerSecondPerUser !== NOT_SHARED;
  return {
    connections: new SharedConnectionLimiter(limits, store, servers, clock),
    commands: commandLimits((name) =>
      new SharedKeyedLimit(name, limits[name], store, servers[name])
    ),
    rateLimiters: new RateLimiters(
      limits,
      clock,
      sharesRate
        ? (user, rate) => new SharedRateLimiter(user, rate, store, clock)
        : undefined,
    ),
  };
}
