/**
 * The users of open sessions.
 *
 * @module
 */

import type { Usage } from "../../../server/accounting/usage_store.ts";
import type { Session } from "../../../server/events.ts";
import type { CountedUser } from "../../accounting/lazy_accounting.ts";
import type { UserRow } from "./control.ts";

/** The users of sessions. Before the end of its handshake, the name of one is only a claim. */
export function usersOf(sessions: readonly Session[]): readonly UserRow[] {
  const users = new Sums();
  for (const { user, phase, sent, received } of sessions) {
    if (user === undefined || phase === "handshake") continue;
    users.add({ name: user, sessions: 1, sent, received });
  }
  return users.rows;
}

/** Adds up the users of several servers. */
export function mergeUsers(
  lists: readonly (readonly UserRow[])[],
): readonly UserRow[] {
  const users = new Sums();
  for (const row of lists.flat()) users.add(row);
  return users.rows;
}

/** Adds what users have transferred in all. Those without an open session are added as well. */
export function withTotals(
  users: readonly UserRow[],
  all: readonly CountedUser[],
): readonly UserRow[] {
  const rows = new Map(users.map((row) => [row.name, row]));
  for (const { user: name, attributes = {}, total, day, month } of all) {
    const row = rows.get(name) ?? { name, sessions: 0, sent: 0, received: 0 };
    const { quota, until } = attributes;
    rows.set(name, {
      ...row,
      ...quota && {
        quota: { ...quota, used: bytesOf({ day, month }[quota.per]) },
      },
      ...until !== undefined && { until },
      totals: { total, day, month },
    });
  }
  return [...rows.values()];
}

function bytesOf({ sent, received }: Usage): number {
  return sent + received;
}

class Sums {
  readonly #rows = new Map<string, UserRow>();

  get rows(): readonly UserRow[] {
    return [...this.#rows.values()];
  }

  add(row: UserRow): void {
    const { name } = row;
    const before = this.#rows.get(name);
    this.#rows.set(name, before ? sumOf(before, row) : row);
  }
}

function sumOf(one: UserRow, other: UserRow): UserRow {
  return {
    name: one.name,
    sessions: one.sessions + other.sessions,
    sent: one.sent + other.sent,
    received: one.received + other.received,
  };
}
