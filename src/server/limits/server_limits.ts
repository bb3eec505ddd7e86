/**
 * All that a server counts, alone or together with others.
 *
 * @module
 */

import type { Limits } from "../options.ts";
import { Admission, type Gate } from "./connection_limiter.ts";
import type { SharedBooks } from "../cluster/store.ts";
import { type Places, Quota } from "./keyed_limit.ts";
import {
  SharedAdmission,
  SharedQuota,
  SharedThrottle,
} from "../cluster/shared_limits.ts";
import { Throttles } from "./rate_limiters.ts";

/** Where a server counts what its clients take. */
export interface ServerCounts {
  /** Sessions. */
  readonly admission: Gate;
  /** UDP associations of each client address. */
  readonly associations: Places;
  /** Octets per second. */
  readonly throttles: Throttles;
}

/** The counts of a server that is alone. */
export function localCounts(limits: Required<Limits>): ServerCounts {
  return {
    admission: new Admission(limits),
    associations: new Quota(limits.associations),
    throttles: new Throttles(limits),
  };
}

/** The counts of one of several servers. */
export function sharedCounts(
  limits: Required<Limits>,
  books: SharedBooks,
  servers: number,
): ServerCounts {
  const { associations } = limits;
  return {
    admission: new SharedAdmission(limits, books, servers),
    associations: new SharedQuota("associations", associations, books, servers),
    throttles: new Throttles(
      limits,
      undefined,
      (user, rate) => new SharedThrottle(user, rate, books),
    ),
  };
}
