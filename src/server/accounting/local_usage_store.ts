/**
 * A store of usage in this process.
 *
 * @module
 */

import { addUsage, isNoUsage, NO_USAGE } from "./usage.ts";
import type {
  Usage,
  UsageReport,
  UsageStore,
  UserTotals,
} from "./usage_store.ts";

/** Options of {@linkcode LocalUsageStore}. */
export interface LocalUsageStoreOptions {
  /** The records of earlier stores, see {@linkcode LocalUsageStore.records}. */
  readonly records?: Iterable<UsageRecord>;
  /** The time in milliseconds since the epoch. @default {Date.now} */
  readonly now?: () => number;
}

/** The counts of one user, to be kept elsewhere. */
export interface UsageRecord extends UserTotals {
  /** The days to which `day` and `month` belong; of a month the first, such as `2026-12-01`. */
  readonly since: { readonly day: string; readonly month: string };
}

/** Beyond this, users are counted together: anyone may claim names by SOCKS4 and ident. */
const MAX_USERS = 1_000_000;

const DAY = 86_400_000;

/**
 * Counts in memory, for one server or for several in this process. Days and months are those
 * of UTC, by the clock of the system. If that is set back by less than a day, a day or month
 * that has begun goes on.
 *
 * @example Totals that survive a restart, with quotas
 * ```ts
 * import { LocalUsageStore, serve, userPass } from "@x/socks5/server";
 *
 * const store = new LocalUsageStore(); // or { records: JSON.parse(text) }
 * {
 *   await using _server = await serve({
 *     port: 0,
 *     auth: [userPass({ alice: "correct horse" })],
 *     userAttributes: () => ({ quota: { bytes: 1e9, per: "day" } }),
 *     accounting: { store, interval: 60_000 },
 *   });
 * } // the rest is reported when the server is shut down
 * console.log(JSON.stringify(store.records));
 * ```
 */
export class LocalUsageStore implements UsageStore {
  readonly #users = new Map<string, UsageRecord>();
  readonly #now: () => number;

  /** Begins with zero, or with the records of earlier stores. */
  constructor({ records = [], now = Date.now }: LocalUsageStoreOptions = {}) {
    this.#now = now;
    for (const it of records) this.#users.set(it.user, it);
  }

  add(reports: readonly UsageReport[]): UserTotals[] {
    const today = todayOf(this.#now());
    return reports.map((it) => this.#add(it, today));
  }

  /** Takes totals that were counted elsewhere, as of now, in place of its own. */
  set(totals: readonly UserTotals[]): void {
    const { day, month } = todayOf(this.#now());
    const since = { day, month };
    for (const it of totals) {
      const isNew = !this.#users.has(it.user);
      if (isNew && (isNoUsage(it.total) || this.#users.size >= MAX_USERS)) {
        continue;
      }
      this.#users.set(it.user, { ...it, since });
    }
  }

  /** The totals of all users, in the order in which they were first seen. */
  get totals(): UserTotals[] {
    return this.records.map(({ since: _, ...totals }) => totals);
  }

  /** The same with the members that a later store needs to continue. */
  get records(): UsageRecord[] {
    const today = todayOf(this.#now());
    return Array.from(this.#users.values(), (it) => current(it, today));
  }

  #add({ user, ...usage }: UsageReport, today: Today): UserTotals {
    const known = this.#users.get(user);
    // The empty name belongs to nobody.
    const name = known || this.#users.size < MAX_USERS ? user : "";
    const before = known ?? this.#users.get(name) ?? newRecord(name);
    const { since, ...now } = current(before, today);
    const totals = {
      user: name,
      total: addUsage(now.total, usage),
      day: addUsage(now.day, usage),
      month: addUsage(now.month, usage),
    };
    // Users who were only asked about are not kept.
    const isKept = known || !isNoUsage(totals.total);
    if (isKept) this.#users.set(name, { ...totals, since });
    return { ...totals, user };
  }
}

function newRecord(user: string): UsageRecord {
  const since = { day: "", month: "" };
  return { user, total: NO_USAGE, day: NO_USAGE, month: NO_USAGE, since };
}

/** A time, and the periods to which it belongs. */
interface Today {
  readonly now: number;
  readonly day: string;
  readonly month: string;
}

function todayOf(now: number): Today {
  const day = new Date(now).toISOString().slice(0, 10);
  return { now, day, month: `${day.slice(0, 8)}01` };
}

/** The record at a time: a day or month that is over counts as zero. */
function current(record: UsageRecord, today: Today): UsageRecord {
  const { since } = record;
  const day = periodOf(since.day, today.day, today.now);
  const month = periodOf(since.month, today.month, today.now);
  if (day === since.day && month === since.month) return record;
  return {
    ...record,
    day: usageIn(record.day, day === since.day),
    month: usageIn(record.month, month === since.month),
    since: { day, month },
  };
}

function usageIn(usage: Usage, isSame: boolean): Usage {
  return isSame ? usage : NO_USAGE;
}

/** The start of the period that counts: also one that begins soon, if the clock was set back. */
function periodOf(known: string, begun: string, now: number): string {
  if (known === begun) return known;
  const ahead = Date.parse(known) - now;
  return ahead > 0 && ahead < DAY ? known : begun;
}
