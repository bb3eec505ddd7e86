/**
 * The supervisor's handle of one worker, from its start to its end.
 *
 * @module
 */

import type { UsageStore } from "../../server/accounting/usage_store.ts";
import type { OneServersLimits } from "../../server/cluster/divided_limits.ts";
import {
  type MetricTotals,
  type MetricValues,
  NO_TOTALS,
} from "../../server/metrics.ts";
import type { Clock } from "../../transport/clock.ts";
import { NetError, type NetErrorKind } from "../../transport/errors.ts";
import type { Timeout } from "../../transport/timeouts.ts";
import type { Address } from "../../transport/transport.ts";
import type { Launcher, WorkerChannel, WorkerExit } from "./channel.ts";
import type {
  ControlMethod,
  FileTexts,
  FromWorker,
  ToWorker,
} from "./messages.ts";
import { executeCalls } from "./remote_store.ts";

type Start = Extract<ToWorker, { type: "start" }>;
type ReplyType = Exclude<
  FromWorker["type"],
  "ready" | "failed" | "calls" | "response"
>;
type Reply<T extends ReplyType> = Extract<FromWorker, { type: T }>;

/** How long a worker may take to reply, in milliseconds. */
const REPLY_TIMEOUT = 1_000;
/** How long a worker may take to adopt a new configuration, in milliseconds. */
const UPDATE_TIMEOUT = 60_000;

/** Options of {@linkcode WorkerHandle}. */
export interface WorkerHandleOptions {
  readonly launcher: Launcher;
  /** The first message to the worker. */
  readonly start: Start;
  /** Holds what the worker acquires of the limits, and is closed when the worker ends. */
  readonly limits: OneServersLimits;
  /** Counts what the users of the worker transfer. */
  readonly accounting: UsageStore;
  readonly clock: Clock;
}

/** A worker. */
export class WorkerHandle {
  /** The number of the worker, from 1, which no other one ever gets. */
  readonly number: number;
  /** The address of its listener. Rejects if the worker cannot listen, or ends before it does. */
  readonly listening: Promise<Address>;
  /** Resolves when the worker has ended. */
  readonly ended: Promise<WorkerExit>;
  readonly #channel: WorkerChannel;
  readonly #limits: OneServersLimits;
  readonly #accounting: UsageStore;
  readonly #clock: Clock;
  readonly #pending = new Map<
    ReplyType,
    (reply: FromWorker | Error) => void
  >();
  /** The requests without a response, by id. */
  readonly #requests = new Map<number, (value: unknown) => void>();
  #lastRequest = 0;
  #isLate = false;
  #reading: Promise<void> | undefined;
  #reporting: Promise<void> | undefined;
  #isReportLate = false;
  #failure: Error | undefined;
  #isListening = false;
  #hasEnded = false;
  #lastMetrics: MetricValues = {};
  #lastTotals = NO_TOTALS;

  /** Starts the worker. */
  constructor(
    { launcher, start, limits, accounting, clock }: WorkerHandleOptions,
  ) {
    this.number = start.worker;
    this.#limits = limits;
    this.#accounting = accounting;
    this.#clock = clock;
    this.listening = this.#next("listening").then(({ addr }) => addr);
    // A rejection is handled where `listening` is awaited.
    this.listening.then(() => this.#isListening = true, () => {});
    let onEnd!: (exit: WorkerExit) => void;
    this.ended = new Promise((resolve) => onEnd = resolve);
    this.#channel = launcher.start({
      onMessage: (message) => {
        // The end of a process may be noticed before its last messages are read.
        // Slots that these acquire would never be released.
        if (this.#hasEnded) return;
        if (message.type === "ready") this.#channel.post(start);
        else this.#receive(message);
      },
      onExit: (exit) => {
        this.#hasEnded = true;
        limits.close();
        this.#fail("other", `worker ${this.number} ended: ${exitText(exit)}`);
        onEnd(exit);
      },
    });
  }

  /** The id of its process, if the worker is a process. */
  get pid(): number | undefined {
    return this.#channel.pid;
  }

  /** Whether the worker is listening, or was until it ended. */
  get isListening(): boolean {
    return this.#isListening;
  }

  /** The metrics that the worker has sent last. */
  get lastMetrics(): MetricValues {
    return this.#lastMetrics;
  }

  /** Updates {@linkcode WorkerHandle.lastMetrics}, unless the worker does not reply in time. */
  async readMetrics(): Promise<void> {
    if (!this.#isListening) return;
    // Concurrent readers share a reply: a second one would take the place of the first.
    await (this.#reading ??= this.#readMetrics());
  }

  async #readMetrics(): Promise<void> {
    const metrics = this.#reply("metrics", REPLY_TIMEOUT);
    this.#channel.post({ type: "read-metrics" });
    await metrics;
    this.#reading = undefined;
  }

  /**
   * Calls a method of the worker's `ServerControl`. Resolves with `undefined` if the worker
   * does not reply in time, or has not replied to an earlier request yet: a hung worker
   * delays one request, and its channel does not fill with others.
   */
  async request(
    method: ControlMethod,
    args: readonly unknown[],
  ): Promise<unknown> {
    if (!this.#isListening || this.#hasEnded || this.#isLate) return undefined;
    const id = ++this.#lastRequest;
    const response = new Promise<unknown>((resolve) =>
      this.#requests.set(id, resolve)
    );
    this.#channel.post({ type: "request", id, method, args });
    const late = this.#clock.startTimeout(REPLY_TIMEOUT, () => {
      const resolve = this.#requests.get(id);
      if (!resolve) return;
      this.#isLate = true;
      resolve(undefined);
    });
    try {
      return await response;
    } finally {
      late.cancel();
    }
  }

  /** The totals that the worker has sent last. */
  get lastTotals(): MetricTotals {
    return this.#lastTotals;
  }

  /** Updates {@linkcode WorkerHandle.lastTotals}, unless the worker does not reply in time. */
  async readTotals(): Promise<void> {
    const totals = await this.request("counters", []) as
      | MetricTotals
      | undefined;
    if (totals) this.#lastTotals = totals;
  }

  #respond(id: number, value: unknown): void {
    // Responses are in order: nothing before this one is missing.
    if (id === this.#lastRequest) this.#isLate = false;
    this.#requests.get(id)?.(value);
    this.#requests.delete(id);
  }

  /**
   * Lets the worker report what its users have transferred, if it replies in time, and has
   * replied to an earlier request.
   */
  async reportUsage(): Promise<void> {
    if (!this.#isListening || this.#isReportLate) return;
    await (this.#reporting ??= this.#reportUsage());
  }

  async #reportUsage(): Promise<void> {
    const reported = this.#reply("usage-reported", REPLY_TIMEOUT);
    this.#channel.post({ type: "report-usage" });
    this.#isReportLate = await reported === undefined;
    this.#reporting = undefined;
  }

  /**
   * Lets the worker adopt the configuration in the files. Resolves when it has, or
   * when it is killed because it did not: its successor starts with these files.
   */
  async update(files: FileTexts): Promise<void> {
    const updated = this.#reply("updated", UPDATE_TIMEOUT);
    this.#post({ type: "update", files });
    if (!await updated) this.kill();
  }

  /** Lets the worker prepare to stop. */
  drain(): void {
    this.#post({ type: "drain" });
  }

  /**
   * Lets the worker stop accepting connections. Returns the number of its sessions,
   * or 0 if it does not reply in time.
   */
  async stopAccepting(): Promise<number> {
    const stopped = this.#reply("stopped-accepting", REPLY_TIMEOUT);
    this.#post({ type: "stop-accepting" });
    return (await stopped)?.sessions ?? 0;
  }

  /** Lets the worker exit when its sessions have ended. */
  shutdown(grace: number): void {
    this.#post({ type: "shutdown", grace });
  }

  /** Lets the worker exit immediately. */
  exit(): void {
    this.#post({ type: "exit" });
  }

  /** Ends the worker forcibly. */
  kill(): void {
    this.#channel.kill();
  }

  /** Sends a message as soon as the worker is listening: before, it has no server. */
  #post(message: ToWorker): void {
    this.listening.then(() => this.#channel.post(message), () => {});
  }

  #receive(message: Exclude<FromWorker, { type: "ready" }>): void {
    switch (message.type) {
      case "calls":
        return executeCalls(
          { limits: this.#limits, accounting: this.#accounting },
          message.calls,
          (results) => this.#channel.post({ type: "results", results }),
        );
      case "failed": {
        this.#fail(message.kind ?? "other", message.message);
        return this.kill();
      }
      case "response":
        return this.#respond(message.id, message.value);
      case "usage-reported":
        this.#isReportLate = false;
        return this.#pending.get(message.type)?.(message);
      case "metrics": // also if they are late
        this.#lastMetrics = message.values;
        // falls through
      default:
        this.#pending.get(message.type)?.(message);
    }
  }

  /** Resolves with the next reply, or with `undefined` if it is late or the worker ends. */
  async #reply<T extends ReplyType>(
    type: T,
    timeout: number,
  ): Promise<Reply<T> | undefined> {
    let late: Timeout | undefined;
    const isLate = new Promise<undefined>((resolve) =>
      late = this.#clock.startTimeout(timeout, () => resolve(undefined))
    );
    const reply = this.#next(type).catch(() => undefined);
    try {
      return await Promise.race([reply, isLate]);
    } finally {
      late?.cancel();
    }
  }

  #next<T extends ReplyType>(type: T): Promise<Reply<T>> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#pending.set(type, (reply) => {
        this.#pending.delete(type);
        if (reply instanceof Error) reject(reply);
        else resolve(reply as Reply<T>);
      });
    });
  }

  /** Rejects everything that waits for a reply: none will come. */
  #fail(kind: NetErrorKind, message: string): void {
    const error = this.#failure = new NetError(kind, message);
    for (const settle of this.#pending.values()) settle(error);
    for (const resolve of this.#requests.values()) resolve(undefined);
  }
}

function exitText({ code, signal, error }: WorkerExit): string {
  return error ?? signal ?? `exit code ${code}`;
}
