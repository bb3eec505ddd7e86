/**
 * Calls a store that may be user code and may fail.
 *
 * @module
 */

import { LimitsError } from "../limits/limits_error.ts";
import type {
  LimitRequest,
  LimitSlot,
  PassRequest,
  SharedLimitsStore,
} from "./store.ts";

/** Called with failures that end no session and reject no client. */
export type OnLimitsError = (error: LimitsError) => void;

/**
 * A store whose failures are all {@linkcode LimitsError}s. If a question fails, its
 * promise rejects. If a notification fails, the failure is reported, but only once until
 * a question is answered.
 */
export class CheckedStore {
  readonly #store: SharedLimitsStore;
  readonly #onError: OnLimitsError;
  #reported = false;

  constructor(store: SharedLimitsStore, onError: OnLimitsError) {
    this.#store = store;
    this.#onError = onError;
  }

  /** Returns `null` if the store has granted the requests at once, or else a promise. */
  acquire<R extends LimitRequest>(
    requests: readonly R[],
  ): null | Promise<R["limit"] | null> {
    let answer: ReturnType<SharedLimitsStore["acquire"]>;
    try {
      answer = this.#store.acquire(requests);
    } catch (error) {
      return Promise.reject(failure(error));
    }
    if (answer !== null) return this.#answered(requests, answer);
    this.#reported = false;
    return null;
  }

  async #answered<R extends LimitRequest>(
    requests: readonly R[],
    given: ReturnType<SharedLimitsStore["acquire"]>,
  ): Promise<R["limit"] | null> {
    const answer = await this.#ask(() => given);
    if (answer === null) return null;
    const reached = requests.find(({ limit }) => limit === answer);
    if (reached) return reached.limit;
    // Only untyped code can return anything else, which counts as a refusal.
    throw failure(new TypeError(`acquire() returned ${String(answer)}`));
  }

  release(slot: LimitSlot): void {
    this.#notify(() => this.#store.release(slot));
  }

  /** Calls `onFailure` if the slots are not counted. */
  forceAcquire(slot: LimitSlot, count: number, onFailure: () => void): void {
    this.#notify(() => this.#store.forceAcquire(slot, count), onFailure);
  }

  async pass(request: PassRequest): Promise<void> {
    await this.#ask(() => this.#store.pass(request));
  }

  cancel(ticket: number): void {
    this.#notify(() => this.#store.cancel(ticket));
  }

  /** Reports a failure that is not reported elsewhere. */
  report(error: LimitsError): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#onError(error);
  }

  async #ask<T>(call: () => T | Promise<T>): Promise<T> {
    try {
      const answer = await call();
      this.#reported = false;
      return answer;
    } catch (error) {
      throw failure(error);
    }
  }

  #notify(call: () => void | Promise<void>, onFailure?: () => void): void {
    const report = (error: unknown) => {
      onFailure?.();
      this.report(failure(error));
    };
    try {
      // The type allows a promise, and untyped code may return anything.
      const done: unknown = call();
      if (done !== undefined) Promise.resolve(done).catch(report);
    } catch (error) {
      report(error);
    }
  }
}

function failure(cause: unknown): LimitsError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const message = `the shared limits store failed: ${text}`;
  return new LimitsError("other", message, cause);
}
