/**
 * {@linkcode ServerControl} of several workers.
 *
 * @module
 */

import type { LockedClient } from "../../server/auth/lockout.ts";
import { type MetricTotals, sumTotals } from "../../server/metrics.ts";
import type {
  Ended,
  Incomplete,
  ServerControl,
  SessionTexts,
  UserList,
} from "../serve/control/control.ts";
import { mergeTexts } from "../serve/control/session_query.ts";
import { mergeUsers } from "../serve/control/users.ts";
import type { ControlMethod } from "./messages.ts";
import type { WorkerHandle } from "./worker_handle.ts";

/** Options of {@linkcode workersControl}. */
export interface WorkersControlOptions {
  /** The workers that there are now. */
  handles(): readonly ControlledWorker[];
  /** The totals of workers that have ended. */
  retired(): MetricTotals;
  /** Counts the failed logins of all workers now. */
  lockout(): ListedLockouts;
}

/** A worker. */
export type ControlledWorker = Pick<
  WorkerHandle,
  "isListening" | "lastTotals" | "readTotals" | "request"
>;

/** Lockouts that can be listed and ended. */
export interface ListedLockouts {
  locked(): readonly LockedClient[] | Promise<readonly LockedClient[]>;
  unlock(client?: string): number | Promise<number>;
}

/** Controls all workers as one server. */
export function workersControl(
  { handles, retired, lockout }: WorkersControlOptions,
): ServerControl {
  const ask = async <T>(
    method: ControlMethod,
    args: readonly unknown[],
  ): Promise<{ answers: readonly T[]; rest: Incomplete }> => {
    const all = await Promise.all(
      handles().map((it) => it.request(method, args)),
    );
    const answers = all.flatMap((it) => it === undefined ? [] : [it as T]);
    const missing = all.length - answers.length;
    return { answers, rest: missing > 0 ? { missing } : {} };
  };
  return {
    async counters() {
      await Promise.all(handles().map((it) => it.readTotals()));
      // Not before the replies: a worker may have ended in the meantime.
      const all = handles();
      return {
        workers: all.filter((it) => it.isListening).length,
        ...sumTotals([retired(), ...all.map((it) => it.lastTotals)]),
      };
    },
    async sessions(query) {
      const { answers, rest } = await ask<SessionTexts>("sessions", [query]);
      return { ...mergeTexts(answers, query), ...rest };
    },
    async end(filter) {
      const { answers, rest } = await ask<Ended>("end", [filter]);
      const ended = answers.reduce((sum, it) => sum + it.ended, 0);
      return { ended, ...rest };
    },
    async users() {
      const { answers, rest } = await ask<UserList>("users", []);
      return { users: mergeUsers(answers.map((it) => it.users)), ...rest };
    },
    lockouts: async () => await lockout().locked(),
    unlock: async (client) => await lockout().unlock(client),
  };
}
