/**
 * The accounting of the program: totals of users, a file of them, and usage records.
 *
 * @module
 */

import { LocalUsageStore } from "../../server/accounting/local_usage_store.ts";
import {
  addUsage,
  isNoUsage,
  NO_USAGE,
} from "../../server/accounting/usage.ts";
import type {
  Usage,
  UsageReport,
  UsageStore,
  UserTotals,
} from "../../server/accounting/usage_store.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Timeout } from "../../transport/timeouts.ts";
import type { LogRecord } from "../output/record.ts";
import { UsageError } from "../usage_error.ts";
import type { StateFile } from "./state_file.ts";

/** Options of {@linkcode Accounting.open}. */
export interface AccountingOptions {
  /** How often records are logged and the file is written, in milliseconds; 0 = never. */
  readonly interval: number;
  /** The path of the file. */
  readonly file?: string;
  /**
   * Counts in place of this process, for several machines. Then there is no file, and
   * {@linkcode Accounting.totals} has the users of this program, as of their last report.
   */
  readonly store?: UsageStore;
  /** Logs the records. */
  log(record: LogRecord): void;
  /** Waits a moment for the reader of the log, which drops records of too many users at once. */
  flush?(): Promise<void>;
  /** @default {systemClock} */
  readonly clock?: Clock;
}

/** How many records are logged at once. */
const RECORDS_AT_ONCE = 1_000;
/** How long all records may wait for the reader of the log, in milliseconds. */
const FLUSH_TIMEOUT = 5_000;

/** Reports what the store does not know yet. */
export interface UsageSource {
  reportUsage(): Promise<void>;
}

/** The usage of all users, of all workers together. */
export class Accounting implements UsageStore {
  readonly #options: AccountingOptions;
  readonly #clock: Clock;
  readonly #store: LocalUsageStore;
  readonly #file: StateFile | undefined;
  /** The usage of the next records. */
  #since = new Map<string, Usage>();
  #isChanged = false;
  #hasFailed = false;
  #timer: Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(
    options: AccountingOptions,
    store: LocalUsageStore,
    file: StateFile | undefined,
  ) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#store = store;
    this.#file = file;
  }

  /**
   * Reads the file, if there is one.
   *
   * @throws {StartError} if it cannot be used.
   * @throws {UsageError} if there is a store of several machines, too.
   */
  static async open(options: AccountingOptions): Promise<Accounting> {
    const { file: path } = options;
    if (path === undefined) {
      return new Accounting(options, new LocalUsageStore(), undefined);
    }
    if (options.store) {
      throw new UsageError(
        "machines that share their limits have one place for the totals, too: leave out " +
          "the accounting file",
      );
    }
    const { StateFile } = await import("./state_file.ts");
    const { file, records } = await StateFile.open(path);
    return new Accounting(options, new LocalUsageStore({ records }), file);
  }

  add(
    reports: readonly UsageReport[],
  ): UserTotals[] | Promise<readonly UserTotals[]> {
    const { store } = this.#options;
    if (store) return this.#addTo(store, reports);
    this.#added(reports);
    return this.#store.add(reports);
  }

  /** A call that fails has added nothing: the same usage comes again. */
  async #addTo(
    store: UsageStore,
    reports: readonly UsageReport[],
  ): Promise<readonly UserTotals[]> {
    const totals = await store.add(reports);
    this.#added(reports);
    this.#store.set(totals);
    return totals;
  }

  #added(reports: readonly UsageReport[]): void {
    for (const { user, ...usage } of reports) {
      if (isNoUsage(usage)) continue;
      this.#isChanged = true;
      if (this.#options.interval === 0) continue;
      const before = this.#since.get(user) ?? NO_USAGE;
      this.#since.set(user, addUsage(before, usage));
    }
  }

  /** The totals of all users. */
  get totals(): UserTotals[] {
    return this.#store.totals;
  }

  /** Logs and saves at the interval what the source reports. */
  start(source: UsageSource): void {
    const { interval } = this.#options;
    if (interval === 0) return;
    const startedAt = this.#clock.now();
    // A slow disk must not make an interval longer, or calls overlap.
    const next = () => {
      if (this.#isClosed) return;
      const passed = this.#clock.now() - startedAt;
      const wait = interval - passed % interval;
      this.#timer = this.#clock.startTimeout(Math.ceil(wait), look);
    };
    const look = () =>
      void source.reportUsage().then(() => this.#save()).then(next);
    next();
  }

  /** Logs and saves the rest. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#save();
    await this.#file?.close();
  }

  /** One save at a time. Never rejects. */
  #save(): Promise<void> {
    return this.#saving = this.#saving.then(async () => {
      await this.#logRecords();
      if (this.#isChanged && this.#file) await this.#write(this.#file);
    });
  }

  async #logRecords(): Promise<void> {
    const { log, flush } = this.#options;
    const since = this.#since;
    this.#since = new Map();
    const end = this.#clock.now() + FLUSH_TIMEOUT;
    let count = 0;
    for (const [user, usage] of since) {
      log({ type: "usage", user, ...usage });
      const isFull = ++count % RECORDS_AT_ONCE === 0;
      if (isFull && this.#clock.now() < end) await flush?.();
    }
  }

  async #write(file: StateFile): Promise<void> {
    this.#isChanged = false;
    try {
      await file.write(this.#store.records);
      this.#hasFailed = false;
    } catch (error) {
      this.#isChanged = true;
      if (this.#hasFailed) return;
      this.#hasFailed = true;
      const { message } = error as Error;
      this.#options.log({ type: "accounting-failed", error: message });
    }
  }
}
