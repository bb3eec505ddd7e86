/**
 * Counts what users transfer on a server, and enforces their quotas and expiry.
 *
 * @module
 */

import type { Clock } from "../../transport/clock.ts";
import { NetError } from "../../transport/errors.ts";
import type { AbortSignalLike } from "../../transport/signal.ts";
import type { Timeout } from "../../transport/timeouts.ts";
import { answerInTime } from "../limits/answer_in_time.ts";
import { LimitsError } from "../limits/limits_error.ts";
import { Account, type CountedSession } from "./account.ts";
import type { CurrentAttributes } from "./current_attributes.ts";
import { isNoUsage } from "./usage.ts";
import type {
  Usage,
  UsageReport,
  UsageStore,
  UserTotals,
} from "./usage_store.ts";
import type { Quota, UserAttributes } from "./user_attributes.ts";

export type { CountedSession };

/** How often users with a quota or an expiry are looked at, in milliseconds. */
const LOOK_INTERVAL = 1_000;

/** How long {@linkcode Accountant.report} waits, in milliseconds. */
const REPORT_TIMEOUT = 5_000;

/** A session that waits for the store. */
export interface WaitingSession {
  readonly settings: { readonly timeouts: { readonly handshake: number } };
  /** Ends the wait. */
  readonly stopping: AbortSignalLike;
}

/** Options of {@linkcode Accountant}. */
export interface AccountantOptions {
  readonly store: UsageStore;
  /** How often all users are reported, in milliseconds; 0 = at the end of their sessions. */
  readonly interval: number;
  readonly attributes: CurrentAttributes;
  readonly clock: Clock;
  /** Called with a failure of the store or of the look-up, once until it succeeds. */
  onError(error: LimitsError): void;
}

/**
 * Reads the counters of sessions from time to time, so that sessions do not pay for being
 * counted. Users without a session, and without usage that has to be reported, take no memory.
 */
export class Accountant {
  readonly #options: AccountantOptions;
  readonly #accounts = new Map<string, Account>();
  /** The accounts of the next call of the store. */
  #due = new Set<Account>();
  /** The next call, which begins after the current one. */
  #next: Promise<void> | undefined;
  #current: Promise<void> = Promise.resolve();
  #timer: Timeout | undefined;
  #reportedAt: number;
  #hasFailed = false;
  /** Whether the store has not answered yet. */
  #isAsking = false;
  /** The accounts whose attributes could not be looked up last time. */
  readonly #unknown = new Set<Account>();
  #closed: Promise<void> | undefined;

  constructor(options: AccountantOptions) {
    this.#options = options;
    this.#reportedAt = options.clock.now();
  }

  /**
   * Resolves with an error if the user may not begin a session: the account has expired, the
   * quota is used up, or that cannot be found out in the time of the handshake.
   */
  async check(
    user: string,
    session: WaitingSession,
  ): Promise<NetError | undefined> {
    try {
      const attributes = this.#options.attributes.of(user);
      if (isExpired(attributes)) return expired();
      if (!attributes?.quota) return undefined;
      const account = this.#accountOf(user);
      await answerInTime(this.#report(account), {
        clock: this.#options.clock,
        timeout: session.settings.timeouts.handshake,
        signal: session.stopping,
        from: "the usage store",
      });
      return account.isOver(attributes.quota) ? overQuota() : undefined;
    } catch (error) {
      return error instanceof NetError ? error : lookUpError(error);
    }
  }

  /** Counts a session of a user from now on. */
  open(user: string, session: CountedSession): void {
    this.#accountOf(user).open(session);
    this.#schedule();
  }

  /** Reports the rest of a session that has ended; does nothing if it is not counted. */
  ended(user: string, session: CountedSession): void {
    const account = this.#accounts.get(user);
    if (account?.close(session)) this.#reportSoon(account);
  }

  /**
   * Reports everything now. Resolves when it is counted, the store has failed, or some seconds
   * have passed.
   */
  async report(): Promise<void> {
    if (this.#accounts.size === 0) return;
    for (const it of this.#accounts.values()) this.#due.add(it);
    let late: Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      const { clock } = this.#options;
      late = clock.startTimeout(REPORT_TIMEOUT, () => resolve());
    });
    await Promise.race([this.#nextCall().catch(ignore), timeout]);
    late?.cancel();
  }

  /** Applies changed attributes. */
  attributesChanged(): void {
    this.#timer?.cancel();
    this.#look();
  }

  /** Reports everything for the last time; waits some seconds at most. */
  close(): Promise<void> {
    this.#timer?.cancel();
    return this.#closed ??= this.report();
  }

  #accountOf(user: string): Account {
    let account = this.#accounts.get(user);
    if (!account) this.#accounts.set(user, account = new Account(user));
    return account;
  }

  #schedule(): void {
    const { attributes, interval, clock } = this.#options;
    if (this.#timer || this.#closed || this.#accounts.size === 0) return;
    const ms = attributes.lookUp || this.#hasFailed
      ? Math.min(LOOK_INTERVAL, interval || LOOK_INTERVAL)
      : interval;
    if (ms > 0) this.#timer = clock.startTimeout(ms, () => this.#look());
  }

  #look(): void {
    this.#timer = undefined;
    const { clock, interval } = this.#options;
    const now = clock.now();
    const isDue = interval > 0 && now - this.#reportedAt >= interval;
    if (isDue) this.#reportedAt = now;
    for (const account of this.#accounts.values()) {
      const isLookedAt = this.#isLookedAt(account);
      if (isDue || isLookedAt) this.#reportSoon(account);
    }
    this.#schedule();
  }

  /**
   * Ends the sessions of an expired user, and those of one who is over quota as far as is known
   * if the store is slow. Returns whether the user is to be reported now.
   */
  #isLookedAt(account: Account): boolean {
    const attributes = this.#attributesOf(account);
    if (isExpired(attributes)) account.endAll("expired", expired());
    const quota = attributes?.quota;
    if (quota && this.#isAsking) endIfOver(account, quota);
    return quota !== undefined || this.#hasFailed && !account.isReported;
  }

  /** Sessions go on if the look-up fails. */
  #attributesOf(account: Account): UserAttributes | undefined {
    try {
      const attributes = this.#options.attributes.of(account.user);
      this.#unknown.delete(account);
      return attributes;
    } catch (error) {
      if (this.#unknown.size === 0) this.#options.onError(lookUpError(error));
      this.#unknown.add(account);
      return undefined;
    }
  }

  #reportSoon(account: Account): void {
    this.#report(account).catch(ignore);
  }

  /** Resolves when the usage of the account is counted. */
  #report(account: Account): Promise<void> {
    this.#due.add(account);
    return this.#nextCall();
  }

  /** One call at a time: what comes meanwhile shares the next one. */
  #nextCall(): Promise<void> {
    return this.#next ??= this.#current.then(() => {
      const due = [...this.#due];
      this.#due = new Set();
      this.#next = undefined;
      const call = this.#call(due);
      this.#current = call.catch(ignore);
      return call;
    });
  }

  async #call(due: readonly Account[]): Promise<void> {
    const all = due.map((account) => ({ account, report: account.report() }));
    const asked = all.filter(({ account, report }) =>
      !isNoUsage(report) || this.#attributesOf(account)?.quota
    );
    try {
      const totals = await this.#add(asked.map(({ report }) => report));
      asked.forEach(({ account, report }, i) =>
        account.reported(report, totals[i])
      );
    } finally {
      for (const account of due) this.#enforce(account);
    }
  }

  async #add(reports: readonly UsageReport[]): Promise<readonly UserTotals[]> {
    if (reports.length === 0) return [];
    this.#isAsking = true;
    try {
      const totals = await this.#options.store.add(reports);
      checkTotals(totals, reports);
      this.#hasFailed = false;
      return totals;
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      const message = `the usage store failed: ${text}`;
      const error = new LimitsError("other", message, cause);
      this.#failed(error);
      throw error;
    } finally {
      this.#isAsking = false;
    }
  }

  #failed(error: LimitsError): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#options.onError(error);
    this.#timer?.cancel(); // the next look comes sooner
    this.#timer = undefined;
    this.#schedule();
  }

  /** If the store has failed, as of what was known before. */
  #enforce(account: Account): void {
    const quota = this.#attributesOf(account)?.quota;
    if (quota) endIfOver(account, quota);
    if (!account.isIdle) return;
    this.#unknown.delete(account);
    const { user } = account;
    // There may be another one, if this one was only checked.
    if (this.#accounts.get(user) === account) this.#accounts.delete(user);
  }
}

function ignore(): void {}

function endIfOver(account: Account, quota: Quota): void {
  if (account.isOver(quota)) account.endAll("quota", overQuota());
}

function isExpired(attributes: UserAttributes | undefined): boolean {
  return attributes?.until !== undefined && attributes.until <= Date.now();
}

function expired(): NetError {
  return new NetError("denied", "the account of this user has expired");
}

function overQuota(): NetError {
  return new NetError("denied", "the quota of this user is used up");
}

function lookUpError(cause: unknown): LimitsError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const message = `the attributes of the user are not known: ${text}`;
  return new LimitsError("other", message, cause);
}

/** Only untyped code can return anything else. */
function checkTotals(
  totals: readonly UserTotals[],
  reports: readonly UsageReport[],
): void {
  const isValid = Array.isArray(totals) && totals.length === reports.length &&
    totals.every((it, i) =>
      it?.user === reports[i].user && isUsage(it.day) && isUsage(it.month)
    );
  if (isValid) return;
  throw new TypeError("add() must return totals for each report, in its order");
}

/** Drivers of databases return some numbers as texts, which would not be added up. */
function isUsage(usage: Usage | undefined): boolean {
  return Number.isFinite(usage?.sent) && Number.isFinite(usage?.received);
}
