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
import type { OneServersLimits } from "../../server/cluster/divided_limits.ts";
import type { Call, CallResult } from "./messages.ts";

interface PendingCall {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A store in the supervisor. The calls of one turn of the event loop share a message. */
export class RemoteLimitsStore implements SharedLimitsStore, LoginGuard {
  readonly #post: (calls: readonly Call[]) => void;
  readonly #pending = new Map<number, PendingCall>();
  #calls: Call[] = [];
  #lastId = 0;

  /** Sends calls with `post`. */
  constructor(post: (calls: readonly Call[]) => void) {
    this.#post = post;
  }

  /** Takes the results of earlier calls. */
  onResults(results: readonly CallResult[]): void {
    for (const [id, value, error] of results) {
      const call = this.#pending.get(id);
      this.#pending.delete(id);
      if (error !== undefined) call?.reject(new Error(error));
      else call?.resolve(value);
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
  addUsage(
    reports: readonly UsageReport[],
  ): Promise<readonly UserTotals[]> {
    return this.#ask("addUsage", [reports]);
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
    return new Promise((resolve, reject) => {
      this.#pending.set(id, {
        resolve: resolve as (value: unknown) => void,
        reject,
      });
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

/** The methods of the limits with a result. */
type Calls = "acquire" | "pass" | "isLocked" | "failed" | "succeeded";
/** The methods without a result. */
type Notifications = "release" | "forceAcquire" | "cancel";

/** The limits and the usage store that workers call. */
export interface CallTargets {
  readonly limits: OneServersLimits;
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
      ? accounting.add(args[0] as readonly UsageReport[])
      : callLimits(limits, method as Calls | Notifications, args);
    if (value instanceof Promise) {
      value.then(
        (it) => id !== null && reply([[id, it]]),
        (error) => id !== null && reply([[id, null, messageOf(error)]]),
      );
    } else if (id !== null) results.push([id, value]);
  }
  if (results.length > 0) reply(results);
}

function callLimits(
  limits: OneServersLimits,
  method: Calls | Notifications,
  args: readonly unknown[],
): unknown {
  const call = limits[method] as (...args: unknown[]) => unknown;
  return call.apply(limits, [...args]);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
