/**
 * The usage of users, counted in Redis for all nodes.
 *
 * @module
 */

import { LocalUsageStore } from "../server/accounting/local_usage_store.ts";
import {
  addUsage,
  isNoUsage,
  NO_USAGE,
  subtractUsage,
} from "../server/accounting/usage.ts";
import type {
  Usage,
  UsageReport,
  UsageStore,
  UserTotals,
} from "../server/accounting/usage_store.ts";
import { type Link, RedisAway } from "./link.ts";
import type { KeyNames } from "./names.ts";
import { FENCE, REPORT } from "./scripts.ts";

/** How many users a call has: Redis does nothing else while it executes one. */
const USERS_PER_CALL = 200;

/** A report whose outcome is not known. */
interface Unsettled {
  readonly number: number;
  readonly reports: readonly UsageReport[];
}

/** The parts that a {@linkcode SharedUsage} needs. */
export interface SharedUsageOptions {
  readonly link: Link;
  readonly names: KeyNames;
  /** Whether reports fail while Redis is away. */
  readonly strict: boolean;
}

/**
 * Adds usage exactly once: if the answer to a report is lost, the next one finds out first
 * whether the report was counted. While Redis is away, this node counts for itself, from the
 * totals that it knows; Redis is told when it is back.
 */
export class SharedUsage implements UsageStore {
  readonly #options: SharedUsageOptions;
  readonly #reported: string;
  #number = 0;
  #unsettled: Unsettled | undefined;
  /**
   * What Redis has to count beside the next reports. Less than zero is what it has counted
   * already, and will be reported again, because its answer was lost.
   */
  readonly #owed = new Map<string, Usage>();
  /** The totals of this node's users, for the time when Redis is away. */
  readonly #known = new LocalUsageStore();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: SharedUsageOptions) {
    this.#options = options;
    // Unlike the name of the node, one that no successor has.
    this.#reported = options.names.reported(crypto.randomUUID());
  }

  add(reports: readonly UsageReport[]): Promise<readonly UserTotals[]> {
    return this.#inTurn(() => this.#add(reports));
  }

  /** Tells Redis what it has missed. */
  flush(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#settle();
      const missed = [...this.#owed].filter(([, it]) => !isNoUsage(counts(it)));
      const reports = missed.map(([user]) => ({ user, ...NO_USAGE }));
      for (const it of partsOf(reports)) await this.#report(it);
    });
  }

  /** Reports are sent one after the other. */
  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#last.then(step);
    this.#last = done.catch(() => {});
    return done;
  }

  async #add(
    reports: readonly UsageReport[],
  ): Promise<readonly UserTotals[]> {
    const totals: UserTotals[] = [];
    try {
      for (const it of partsOf(reports)) {
        totals.push(...await this.#report(it));
      }
      return totals;
    } catch (error) {
      if (!this.#options.strict && error instanceof RedisAway) {
        const rest = reports.slice(totals.length);
        for (const it of rest) this.#owe(it.user, it);
        return [...totals, ...this.#known.add(rest)];
      }
      // All of them come again.
      for (const it of reports.slice(0, totals.length)) {
        this.#owe(it.user, subtractUsage(NO_USAGE, it));
      }
      throw error;
    }
  }

  async #report(
    reports: readonly UsageReport[],
  ): Promise<readonly UserTotals[]> {
    const { link, names, strict } = this.#options;
    await this.#settle();
    const sent = reports.map((it) => this.#take(it));
    const number = ++this.#number;
    const users = sent.map(({ user }) => names.usage(user));
    const numbers = sent.flatMap((it) => [it.sent, it.received, it.sessions]);
    this.#unsettled = { number, reports: sent };
    const args = [number, ...numbers].map(String);
    try {
      const reply = await link.run(REPORT, [this.#reported, ...users], args);
      this.#unsettled = undefined;
      if (reply === null) throw new Error("a later report was made");
      const totals = totalsOf(reports, reply as readonly string[]);
      if (!strict) this.#known.set(totals);
      return totals;
    } catch (error) {
      sent.forEach((it, i) =>
        this.#owe(it.user, subtractUsage(it, reports[i]))
      );
      throw error;
    }
  }

  /** Finds out whether the last report was counted, which it cannot be later. */
  async #settle(): Promise<void> {
    const { link } = this.#options;
    if (!link.isUp) throw new RedisAway("Redis does not answer");
    if (!this.#unsettled) return;
    const { number, reports } = this.#unsettled;
    const fence = String(++this.#number);
    const last = await link.run(FENCE, [this.#reported], [fence]);
    this.#unsettled = undefined;
    if (Number(last) !== number) return;
    for (const it of reports) this.#owe(it.user, subtractUsage(NO_USAGE, it));
  }

  /** What to send for a report, together with what is owed. */
  #take({ user, ...usage }: UsageReport): UsageReport {
    const sum = addUsage(usage, this.#owed.get(user) ?? NO_USAGE);
    const sent = counts(sum);
    // A report may be smaller than what is counted already: one of zeros only reads.
    this.#owe(user, subtractUsage(usage, sent));
    return { user, ...sent };
  }

  #owe(user: string, more: Usage): void {
    const sum = addUsage(this.#owed.get(user) ?? NO_USAGE, more);
    if (isNoUsage(sum)) this.#owed.delete(user);
    else this.#owed.set(user, sum);
  }
}

/** The part of it that is more than zero. */
function counts({ sent, received, sessions }: Usage): Usage {
  return {
    sent: Math.max(sent, 0),
    received: Math.max(received, 0),
    sessions: Math.max(sessions, 0),
  };
}

function* partsOf(reports: readonly UsageReport[]) {
  for (let at = 0; at < reports.length; at += USERS_PER_CALL) {
    yield reports.slice(at, at + USERS_PER_CALL);
  }
}

function totalsOf(
  reports: readonly UsageReport[],
  numbers: readonly string[],
): readonly UserTotals[] {
  const usage = (at: number): Usage => ({
    sent: Number(numbers[at]),
    received: Number(numbers[at + 1]),
    sessions: Number(numbers[at + 2]),
  });
  return reports.map(({ user }, i) => ({
    user,
    total: usage(9 * i),
    day: usage(9 * i + 3),
    month: usage(9 * i + 6),
  }));
}
