/**
 * The shared limits of a worker: calls of the store become messages to the
 * supervisor, which coordinates the limits.
 *
 * @module
 */

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

  #call<K extends Calls>(
    method: K,
    ...args: Parameters<WorkerLimits[K]>
  ): Promise<Awaited<ReturnType<WorkerLimits[K]>>> {
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

/** The methods with a result. */
type Calls = "acquire" | "pass" | "isLocked" | "failed" | "succeeded";
/** The methods without a result. */
type Notifications = "release" | "forceAcquire" | "cancel";

/**
 * Executes the calls of a worker. `reply` gets the results: those of synchronous
 * methods together, and those of asynchronous ones as they come.
 */
export function executeCalls(
  limits: OneServersLimits,
  calls: readonly Call[],
  reply: (results: readonly CallResult[]) => void,
): void {
  const results: CallResult[] = [];
  for (const [id, method, args] of calls) {
    const call = limits[method as Calls | Notifications] as (
      ...args: unknown[]
    ) => unknown;
    const value = call.apply(limits, [...args]);
    if (value instanceof Promise) {
      value.then(
        (it) => id !== null && reply([[id, it]]),
        (error) => id !== null && reply([[id, null, messageOf(error)]]),
      );
    } else if (id !== null) results.push([id, value]);
  }
  if (results.length > 0) reply(results);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
