/**
 * Loads the accounting when it is needed: most servers count nothing.
 *
 * @module
 */

import type {
  UsageReport,
  UsageStore,
  UserTotals,
} from "../../server/accounting/usage_store.ts";
import type {
  UserAttributes,
  UserAttributesLookup,
} from "../../server/accounting/user_attributes.ts";
import type {
  Accounting,
  AccountingOptions,
  UsageSource,
} from "./accounting.ts";

/** The usage and the attributes of a user. */
export interface CountedUser extends UserTotals {
  /** `undefined` if the user has none. */
  readonly attributes?: UserAttributes;
}

/** Accounting that is opened with the first report, unless it is opened before. */
export class LazyAccounting implements UsageStore {
  readonly #options: AccountingOptions;
  #opened: Promise<Accounting> | undefined;

  constructor(options: AccountingOptions) {
    this.#options = options;
  }

  /**
   * Opens it now.
   *
   * @throws {StartError} if the file cannot be used.
   */
  open(): Promise<Accounting> {
    return this.#opened ??= import("./accounting.ts")
      .then(({ Accounting }) => Accounting.open(this.#options));
  }

  async add(reports: readonly UsageReport[]): Promise<readonly UserTotals[]> {
    return (await this.open()).add(reports);
  }

  /** Logs and saves at the interval what the source reports. Without an interval, does nothing. */
  async start(source: UsageSource): Promise<void> {
    (await this.#opened)?.start(source);
  }

  /** The totals of all users, once the source has reported what it knows. */
  async totals(
    source: UsageSource,
    attributesOf: UserAttributesLookup | undefined,
  ): Promise<readonly CountedUser[]> {
    await source.reportUsage();
    const totals = (await this.#opened)?.totals ?? [];
    return totals.map((it) => ({
      ...it,
      attributes: attributesOf?.(it.user),
    }));
  }

  /** Logs and saves the rest. */
  async close(): Promise<void> {
    await (await this.#opened)?.close();
  }
}
