/**
 * What an operator can see of a running server, and do with it.
 *
 * @module
 */

import type { UserTotals } from "../../../server/accounting/usage_store.ts";
import type { Quota } from "../../../server/accounting/user_attributes.ts";
import type { LockedClient } from "../../../server/auth/lockout.ts";
import type { SessionFacts } from "../../../server/events.ts";
import type { MetricTotals } from "../../../server/metrics.ts";
import type { SortKey } from "./first_of.ts";

/** The facts of an open session. */
export type SessionRow = Omit<SessionFacts, "id"> & {
  /**
   * Its number; with several workers, that of the worker comes first: `2-17`. A worker that is
   * restarted gets a new number, so that an id never means another session later.
   */
  readonly id: string;
};

/** The sessions that are meant: those of which all given members match. */
export interface SessionFilter {
  readonly id?: string;
  readonly user?: string;
  /** The client's address, with or without its port. */
  readonly client?: string;
  /** The target's name or address, with or without its port. */
  readonly target?: string;
  readonly command?: string;
  readonly phase?: string;
  /** A part of the user, the user id, the client or the target, in any case of letters. */
  readonly text?: string;
}

/** What sessions are sorted by. */
export const SESSION_KEYS = [
  "id",
  "client",
  "user",
  "target",
  "sent",
  "received",
  "startedAt",
  "duration",
] as const;

/** The key of an order. */
export type SessionKey = typeof SESSION_KEYS[number];

/** The members of a query are checked already. */
export interface SessionQuery extends SessionFilter {
  /** By what to sort; `-` before it reverses the order. */
  readonly sort: SessionKey | `-${SessionKey}`;
  /** How many sessions to return. */
  readonly limit: number;
}

/** Workers that do not answer in time are left out of an answer. */
export interface Incomplete {
  /** How many workers have not answered; not set if all have. */
  readonly missing?: number;
}

/** The numbers of open sessions. */
export interface SessionCounts extends Incomplete {
  /** The number of open sessions. */
  readonly total: number;
  /** How many of them match the filter. */
  readonly matched: number;
}

/** Open sessions. */
export interface SessionPage extends SessionCounts {
  /** The first ones in the order of the query. */
  readonly sessions: readonly SessionRow[];
}

/**
 * {@linkcode SessionPage} as workers send it: as texts, which the supervisor passes on without
 * parsing them, with what these are sorted by.
 */
export interface SessionTexts extends SessionCounts {
  /** What each row is sorted by. */
  readonly keys: readonly SortKey[];
  /** A {@linkcode SessionRow} each, as JSON. */
  readonly rows: readonly string[];
}

/** The open sessions of a user. */
export interface UserRow {
  readonly name: string;
  readonly sessions: number;
  /** Bytes of these sessions so far. */
  readonly sent: number;
  readonly received: number;
  /** The quota, and the bytes that are used of it. */
  readonly quota?: Quota & { readonly used: number };
  /** When the account expires, in milliseconds since the epoch. */
  readonly until?: number;
  /** What the user has transferred in all, today and in this month (UTC). */
  readonly totals?: Omit<UserTotals, "user">;
}

/** The users of open sessions, in no particular order. */
export interface UserList extends Incomplete {
  readonly users: readonly UserRow[];
}

/** How many sessions have been ended. */
export interface Ended extends Incomplete {
  readonly ended: number;
}

/** The totals of a server since its start, with those of workers that have ended. */
export interface Counters extends MetricTotals {
  /** The workers that are listening; 1 without workers. */
  readonly workers: number;
}

/** The sessions and the lockouts of a server. With workers, of all of them together. */
export interface ServerControl {
  /** The totals; of workers that do not answer in time, the last known ones. */
  counters(): Promise<Counters>;
  /** Finds open sessions. */
  sessions(query: SessionQuery): Promise<SessionTexts>;
  /** Ends all sessions that match. */
  end(filter: SessionFilter): Promise<Ended>;
  /** The users of open sessions. A name counts only once its login is complete. */
  users(): Promise<UserList>;
  /** The clients that are locked out; `undefined` if their guard does not list them. */
  lockouts(): Promise<readonly LockedClient[] | undefined>;
  /**
   * Forgets the failed logins of a client, or of all clients. Returns how many of them were
   * locked out; `undefined` if their guard cannot forget them.
   */
  unlock(client?: string): Promise<number | undefined>;
}
