/**
 * The traffic of one user on this server.
 *
 * @module
 */

import type { NetError } from "../../transport/errors.ts";
import { addUsage, isNoUsage, NO_USAGE, subtractUsage } from "./usage.ts";
import type { Usage, UsageReport, UserTotals } from "./usage_store.ts";
import type { Quota } from "./user_attributes.ts";

/** A session as accounting sees it. */
export interface CountedSession {
  /** Bytes from the client so far. */
  readonly sent: number;
  /** Bytes to the client so far. */
  readonly received: number;
  /** Ends the session. */
  end(reason: "quota" | "expired", error: NetError): void;
}

/** The open sessions of a user, and their usage that is not reported yet. */
export class Account {
  readonly user: string;
  /** The counts of each session when it was last looked at. */
  readonly #sessions = new Map<CountedSession, Usage>();
  #unreported: Usage = NO_USAGE;
  #totals: UserTotals | undefined;

  constructor(user: string) {
    this.user = user;
  }

  /** Whether there is nothing to count, and nothing to report. */
  get isIdle(): boolean {
    return this.#sessions.size === 0 && isNoUsage(this.#unreported);
  }

  /** Whether nothing is to be reported, as of the last look. */
  get isReported(): boolean {
    return isNoUsage(this.#unreported);
  }

  /** Counts a session that begins; does nothing if it is known. */
  open(session: CountedSession): void {
    if (this.#sessions.has(session)) return;
    this.#sessions.set(session, NO_USAGE);
    this.#unreported = addUsage(this.#unreported, { ...NO_USAGE, sessions: 1 });
  }

  /** Counts the rest of a session. Returns whether it was known. */
  close(session: CountedSession): boolean {
    if (!this.#sessions.has(session)) return false;
    this.#look(session);
    return this.#sessions.delete(session);
  }

  /** The usage that has to be reported now. */
  report(): UsageReport {
    this.#lookAtAll();
    return { user: this.user, ...this.#unreported };
  }

  /** The store has counted a report. */
  reported(report: UsageReport, totals: UserTotals): void {
    this.#unreported = subtractUsage(this.#unreported, report);
    this.#totals = totals;
  }

  /** Whether a quota is used up, as far as is known. */
  isOver({ bytes, per }: Quota): boolean {
    this.#lookAtAll();
    const { sent, received } = this.#unreported;
    const counted = this.#totals?.[per] ?? NO_USAGE;
    return counted.sent + counted.received + sent + received >= bytes;
  }

  /** Ends all sessions. */
  endAll(reason: "quota" | "expired", error: NetError): void {
    for (const it of [...this.#sessions.keys()]) it.end(reason, error);
  }

  #lookAtAll(): void {
    for (const session of this.#sessions.keys()) this.#look(session);
  }

  #look(session: CountedSession): void {
    const { sent, received } = session;
    const before = this.#sessions.get(session)!;
    const now = { sent, received, sessions: 0 };
    const more = subtractUsage(now, before);
    if (isNoUsage(more)) return;
    this.#sessions.set(session, now);
    this.#unreported = addUsage(this.#unreported, more);
  }
}
