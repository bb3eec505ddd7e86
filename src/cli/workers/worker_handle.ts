/**
 * One worker, from its start to its end.
 *
 * @module
 */

import type { WorkerLimits } from "../../server/cluster/coordinator.ts";
import type { MetricValues } from "../../server/metrics.ts";
import { startTimeout, type Timeout } from "../../transport/timeouts.ts";
import type { Address } from "../../transport/transport.ts";
import { NetError, type NetErrorKind } from "../../transport/errors.ts";
import type { Exit, Launcher, WorkerChannel } from "./channel.ts";
import type { FileTexts, FromWorker, ToWorker } from "./messages.ts";
import { answer } from "./remote_store.ts";

type Start = Extract<ToWorker, { type: "start" }>;
type Answered = Exclude<FromWorker["type"], "ready" | "failed" | "calls">;
type Reply<T extends Answered> = Extract<FromWorker, { type: T }>;

/** Milliseconds in which a worker should tell its metrics, or how many sessions it has. */
const PATIENCE = 1_000;
/** Milliseconds in which it should serve by other files. */
const UPDATE_PATIENCE = 60_000;

/** A worker that runs. */
export class WorkerHandle {
  /** Which one it is, from 1. */
  readonly number: number;
  /** Where it listens. Rejects when it cannot, or ends before. */
  readonly listening: Promise<Address>;
  /** How it ended. */
  readonly ended: Promise<Exit>;
  readonly #link: WorkerChannel;
  readonly #account: WorkerLimits;
  readonly #waiting = new Map<Answered, (reply: FromWorker | Error) => void>();
  #failure: Error | undefined;
  #isListening = false;
  #lastMetrics: MetricValues = {};

  /** Starts it; what it takes of the limits goes into the account, which is closed when it ends. */
  constructor(workshop: Launcher, start: Start, account: WorkerLimits) {
    this.number = start.worker;
    this.#account = account;
    this.listening = this.#next("listening").then(({ addr }) => addr);
    // Who waits for it is told of a failure.
    this.listening.then(() => this.#isListening = true, () => {});
    let onEnd!: (exit: Exit) => void;
    this.ended = new Promise((resolve) => onEnd = resolve);
    this.#link = workshop.start({
      onMessage: (message) => {
        if (message.type === "ready") this.#link.post(start);
        else this.#receive(message);
      },
      onExit: (exit) => {
        account.close();
        this.#fail("other", `worker ${this.number} ended: ${textOf(exit)}`);
        onEnd(exit);
      },
    });
  }

  /** The id of its process, if it is one. */
  get pid(): number | undefined {
    return this.#link.pid;
  }

  /** Whether it serves, or did until it ended. */
  get isListening(): boolean {
    return this.#isListening;
  }

  /** What it has told when it was asked last. */
  get lastMetrics(): MetricValues {
    return this.#lastMetrics;
  }

  /** Asks it for its metrics; gives up when it does not tell them in time. */
  async readMetrics(): Promise<void> {
    if (!this.#isListening) return;
    const told = this.#answer("metrics", PATIENCE);
    this.#link.post({ type: "metrics" });
    await told;
  }

  /** Lets it serve by other files; settles when it does, or has ended: the next one begins with them. */
  async update(files: FileTexts): Promise<void> {
    const updated = this.#answer("updated", UPDATE_PATIENCE);
    this.#tell({ type: "update", files });
    if (!await updated) this.kill();
  }

  /** Lets no more clients in; gives how many sessions it has, 0 when it does not tell in time. */
  async close(): Promise<number> {
    const closed = this.#answer("closed", PATIENCE);
    this.#tell({ type: "close" });
    return (await closed)?.sessions ?? 0;
  }

  /** Lets the sessions end, and then itself. */
  shutdown(grace: number): void {
    this.#tell({ type: "shutdown", grace });
  }

  /** Lets it end now. */
  end(): void {
    this.#tell({ type: "end" });
  }

  /** Ends it whatever it does. */
  kill(): void {
    this.#link.kill();
  }

  /** Only when it listens it can do what it is told. */
  #tell(message: ToWorker): void {
    this.listening.then(() => this.#link.post(message), () => {});
  }

  #receive(message: Exclude<FromWorker, { type: "ready" }>): void {
    switch (message.type) {
      case "calls":
        return answer(this.#account, message.calls, (answers) => {
          this.#link.post({ type: "answers", answers });
        });
      case "failed": {
        this.#fail(message.kind ?? "other", message.message);
        return this.kill();
      }
      case "metrics": // also when it comes late
        this.#lastMetrics = message.values;
        // falls through
      default:
        this.#waiting.get(message.type)?.(message);
    }
  }

  /** What it says, if it does so in time and before it ends. */
  async #answer<T extends Answered>(
    type: T,
    patience: number,
  ): Promise<Reply<T> | undefined> {
    let late: Timeout | undefined;
    const enough = new Promise<undefined>((resolve) =>
      late = startTimeout(patience, () => resolve(undefined))
    );
    const told = this.#next(type).catch(() => undefined);
    try {
      return await Promise.race([told, enough]);
    } finally {
      late?.cancel();
    }
  }

  #next<T extends Answered>(type: T): Promise<Reply<T>> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#waiting.set(type, (reply) => {
        this.#waiting.delete(type);
        if (reply instanceof Error) reject(reply);
        else resolve(reply as Reply<T>);
      });
    });
  }

  /** Whatever it was told, there is no answer any more. */
  #fail(kind: NetErrorKind, message: string): void {
    const error = this.#failure = new NetError(kind, message);
    for (const settle of this.#waiting.values()) settle(error);
  }
}

/** How a worker ended, in words. */
export function textOf({ code, signal, error }: Exit): string {
  return error ?? signal ?? `exit code ${code}`;
}
