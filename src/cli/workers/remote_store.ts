/**
 * The shared limits of a worker: calls of the store become messages to the
 * supervisor, which coordinates the limits.
 *
 * @module
 */

import type {
  UsageReport,
  UsageStore,
  UserTotals,
} from "../../server/accounting/usage_store.ts";
import type { LoginGuard } from "../../server/auth/lockout.ts";
import type {
  LimitRequest,
  LimitSlot,
  PassRequest,
  SharedLimitsStore,
} from "../../server/cluster/store.ts";
import type { Limits } from "../../server/limits/limits.ts";
import type { WorkerLimits } from "../../server/cluster/coordinator.ts";
import type { Call, CallResult } from "./messages.ts";

/** A store in the supervisor. The calls of one turn of the event loop share a message. */
export class RemoteLimitsStore implements SharedLimitsStore, LoginGuard {
  readonly #post: (calls: readonly Call[]) => void;
  readonly #pending = new Map<number, (value: unknown) => void>();
  #calls: Call[] = [];
  #lastId = 0;

  /** Sends calls with `post`. */
  constructor(post: (calls: readonly Call[]) => void) {
    this.#post = post;
  }

  /** Takes the results of earlier calls. */
  onResults(results: readonly CallResult[]): void {
    for (const [id, value] of results) {
      this.#pending.get(id)?.(value);
      this.#pending.delete(id);
    }
  }

  acquire(requests: readonly LimitRequest[]): Promise<keyof Limits | null> {
    return this.#call("acquire", requests);
  }

  release(slot: LimitSlot): void {
    this.#notify("release", slot);
  }

  forceAcquire(slot: LimitSlot, count: number): void {
    this.#notify("forceAcquire", slot, count);
  }

  async pass(request: PassRequest): Promise<void> {
    await this.#call("pass", request);
  }

  cancel(ticket: number): void {
    this.#notify("cancel", ticket);
  }

  isLocked(client: string): Promise<boolean> {
    return this.#call("isLocked", client);
  }

  failed(client: string): Promise<number> {
    return this.#call("failed", client);
  }

  succeeded(client: string): Promise<boolean> {
    return this.#call("succeeded", client);
  }

  /** Adds usage to the accounting of the supervisor, as `UsageStore` says. */
  async addUsage(
    reports: readonly UsageReport[],
  ): Promise<readonly UserTotals[]> {
    const added = await this.#ask<AddedUsage>("addUsage", [reports]);
    if ("error" in added) throw new Error(added.error);
    return added.totals;
  }

  #call<K extends Calls>(
    method: K,
    ...args: Parameters<WorkerLimits[K]>
  ): Promise<Awaited<ReturnType<WorkerLimits[K]>>> {
    return this.#ask(method, args);
  }

  #ask<T>(method: string, args: readonly unknown[]): Promise<T> {
    const id = ++this.#lastId;
    this.#send([id, method, args]);
    return new Promise((resolve) => {
      this.#pending.set(id, resolve as (value: unknown) => void);
    });
  }

  #notify<K extends Notifications>(
    method: K,
    ...args: Parameters<WorkerLimits[K]>
  ): void {
    this.#send([null, method, args]);
  }

  #send(call: Call): void {
    if (this.#calls.push(call) > 1) return;
    setImmediate(() => {
      this.#post(this.#calls);
      this.#calls = [];
    });
  }
}

/** The result of `addUsage`. */
type AddedUsage = { readonly totals: readonly UserTotals[] } | {
  readonly error: string;
};

/** The methods of the limits with a result. */
type Calls = "acquire" | "pass" | "isLocked" | "failed" | "succeeded";
/** The methods without a result. */
type Notifications = "release" | "forceAcquire" | "cancel";

/** What workers call. */
export interface CallTargets {
  readonly limits: WorkerLimits;
  readonly accounting: UsageStore;
}

/**
 * Executes the calls of a worker. `reply` gets the results: those of synchronous
 * methods together, and those of asynchronous ones as they come.
 */
export function executeCalls(
  { limits, accounting }: CallTargets,
  calls: readonly Call[],
  reply: (results: readonly CallResult[]) => void,
): void {
  const results: CallResult[] = [];
  for (const [id, method, args] of calls) {
    const value = method === "addUsage"
      ? addUsage(accounting, args[0] as readonly UsageReport[])
      : callLimits(limits, method as Calls | Notifications, args);
    if (id === null) continue;
    if (value instanceof Promise) value.then((it) => reply([[id, it]]));
    else results.push([id, value]);
  }
  if (results.length > 0) reply(results);
}

function callLimits(
  limits: WorkerLimits,
  method: Calls | Notifications,
  args: readonly unknown[],
): unknown {
  const call = limits[method] as (...args: unknown[]) => unknown;
  return call.apply(limits, [...args]);
}

/** Never rejects: the error is a part of the result. */
async function addUsage(
  accounting: UsageStore,
  reports: readonly UsageReport[],
): Promise<AddedUsage> {
  try {
    return { totals: await accounting.add(reports) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
