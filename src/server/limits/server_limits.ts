/**
 * Everything that a server counts and limits.
 *
 * @module
 */

import { type Clock } from "../../transport/clock.ts";
import type { Limits } from "../options.ts";
import {
  type ConnectionLimiter,
  LocalConnectionLimiter,
} from "./connection_limiter.ts";
import { type KeyedLimit, LocalKeyedLimit } from "./keyed_limit.ts";
import { RateLimiters } from "./rate_limiters.ts";

/** The limiters of one server. */
export interface ServerLimits {
  /** Sessions. */
  readonly connections: ConnectionLimiter;
  /** UDP associations of each client address. */
  readonly associations: KeyedLimit;
  /** Bytes per second. */
  readonly rateLimiters: RateLimiters;
}

/** The limiters of a server that is alone. */
export function localLimits(
  limits: Required<Limits>,
  clock: Clock,
): ServerLimits {
  return {
    connections: new LocalConnectionLimiter(limits, clock),
    associations: new LocalKeyedLimit(limits.associationsPerClient),
    rateLimiters: new RateLimiters(limits, clock),
  };
}
