/**
 * {@linkcode ServerControl} of a server in this process.
 *
 * @module
 */

import type { LockedClient, LoginGuard } from "../../../server/auth/lockout.ts";
import type { MetricTotals } from "../../../server/metrics.ts";
import type { Server } from "../../../server/server.ts";
import type { ServerControl } from "./control.ts";
import { findSessions, matching } from "./session_query.ts";
import { usersOf } from "./users.ts";

/** Options of {@linkcode localControl}. */
export interface LocalControlOptions {
  readonly server: Pick<Server, "sessions">;
  /** The number of the worker, if there are several. */
  readonly worker?: number;
  /** The totals of the server. */
  totals(): MetricTotals;
  /** Counts failed logins now. */
  guard(): LoginGuard;
}

/** A guard that lists the clients that are locked out. */
interface ListingGuard {
  locked(): readonly LockedClient[] | Promise<readonly LockedClient[]>;
  unlock(client?: string): number | Promise<number>;
}

/** Whether a guard lists the clients that are locked out. */
function lists(guard: object): guard is ListingGuard {
  return "locked" in guard && "unlock" in guard;
}

/** Controls one server. */
export function localControl(
  { server, worker, totals, guard }: LocalControlOptions,
): ServerControl {
  const source = () => ({ sessions: server.sessions, worker });
  return {
    counters: () => Promise.resolve({ workers: 1, ...totals() }),
    sessions: (query) => Promise.resolve(findSessions(source(), query)),
    end(filter) {
      const found = matching(source(), filter);
      for (const session of found) session.close();
      return Promise.resolve({ ended: found.length });
    },
    users: () => Promise.resolve({ users: usersOf(server.sessions) }),
    async lockouts() {
      const list = guard();
      return lists(list) ? await list.locked() : undefined;
    },
    async unlock(client) {
      const list = guard();
      return lists(list) ? await list.unlock(client) : undefined;
    },
  };
}
