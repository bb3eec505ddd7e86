/**
 * The usage of users, counted in Redis for all nodes.
 *
 * @module
 */

import type {
  Usage,
  UsageReport,
  UsageStore,
  UserTotals,
} from "../server/accounting/usage_store.ts";
import { type Link, RedisAway } from "./link.ts";
import type { KeyNames } from "./names.ts";
import { FENCE, REPORT } from "./scripts.ts";

/** How many users are reported in one call, which other nodes have to wait for. */
const MOST = 500;

/** A report whose outcome is not known. */
interface Unsettled {
  readonly number: number;
  readonly reports: readonly UsageReport[];
}

/** The parts that a {@linkcode SharedUsage} needs. */
export interface SharedUsageOptions {
  readonly link: Link;
  readonly names: KeyNames;
}

/**
 * Adds usage exactly once: if the answer to a report is lost, the next one finds out first
 * whether the report was counted.
 */
export class SharedUsage implements UsageStore {
  readonly #link: Link;
  readonly #names: KeyNames;
  readonly #reported: string;
  #number = 0;
  #unsettled: Unsettled | undefined;
  /** What Redis has counted, but will be reported again, because its answer was lost. */
  readonly #counted = new Map<string, Usage>();
  #last: Promise<unknown> = Promise.resolve();

  constructor({ link, names }: SharedUsageOptions) {
    this.#link = link;
    this.#names = names;
    // Unlike the name of the node, one that no successor has.
    this.#reported = names.reported(crypto.randomUUID());
  }

  /** Reports are sent one after the other. */
  add(reports: readonly UsageReport[]): Promise<readonly UserTotals[]> {
    const added = this.#last.then(() => this.#add(reports));
    this.#last = added.catch(() => {});
    return added;
  }

  async #add(
    reports: readonly UsageReport[],
  ): Promise<readonly UserTotals[]> {
    const totals: UserTotals[] = [];
    try {
      for (let at = 0; at < reports.length; at += MOST) {
        totals.push(...await this.#addSome(reports.slice(at, at + MOST)));
      }
    } catch (error) {
      // All of them will be reported again.
      for (const it of reports.slice(0, totals.length)) {
        this.#count(it.user, it);
      }
      throw error;
    }
    return totals;
  }

  async #addSome(
    reports: readonly UsageReport[],
  ): Promise<readonly UserTotals[]> {
    if (!this.#link.isUp) throw new RedisAway("Redis does not answer");
    if (this.#unsettled) await this.#settle(this.#unsettled);
    const rest = reports.map((it) => this.#uncounted(it));
    const number = ++this.#number;
    const users = rest.map(({ user }) => this.#names.usage(user));
    const numbers = rest.flatMap((it) => [it.sent, it.received, it.sessions]);
    this.#unsettled = { number, reports: rest };
    const args = [number, ...numbers].map(String);
    const keys = [this.#reported, ...users];
    const reply = await this.#link.run(REPORT, keys, args);
    this.#unsettled = undefined;
    if (reply === null) throw new Error("a later report was made");
    reports.forEach((it, i) => this.#count(it.user, minus(rest[i], it)));
    return totalsOf(reports, reply as readonly string[]);
  }

  /** Finds out whether the last report was counted, which it cannot be later. */
  async #settle({ number, reports }: Unsettled): Promise<void> {
    const fence = String(++this.#number);
    const last = await this.#link.run(FENCE, [this.#reported], [fence]);
    this.#unsettled = undefined;
    if (Number(last) !== number) return;
    for (const it of reports) this.#count(it.user, it);
  }

  #uncounted(report: UsageReport): UsageReport {
    const counted = this.#counted.get(report.user);
    if (!counted) return report;
    // A report may be smaller: one of zeros only reads.
    const again = each(report, counted, Math.min);
    return { user: report.user, ...minus(report, again) };
  }

  #count(user: string, more: Usage): void {
    const sum = each(this.#counted.get(user) ?? NONE, more, (a, b) => a + b);
    if (sum.sent + sum.received + sum.sessions === 0) {
      this.#counted.delete(user);
    } else this.#counted.set(user, sum);
  }
}

const NONE: Usage = { sent: 0, received: 0, sessions: 0 };

function minus(from: Usage, less: Usage): Usage {
  return each(from, less, (a, b) => a - b);
}

function each(
  one: Usage,
  other: Usage,
  join: (one: number, other: number) => number,
): Usage {
  return {
    sent: join(one.sent, other.sent),
    received: join(one.received, other.received),
    sessions: join(one.sessions, other.sessions),
  };
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
