/**
 * The books that are kept where the workers were started.
 *
 * @module
 */

import type {
  LimitRequest,
  SharedLimitsStore,
} from "../../server/cluster/store.ts";
import type { WorkerLimits } from "../../server/cluster/coordinator.ts";
import type { Answer, Call } from "./messages.ts";

/** Asks for what is in the books; all questions of one turn of the event loop go together. */
export class RemoteLimitsStore implements SharedLimitsStore {
  readonly #post: (calls: readonly Call[]) => void;
  readonly #waiting = new Map<number, (value: unknown) => void>();
  #calls: Call[] = [];
  #lastNumber = 0;

  constructor(post: (calls: readonly Call[]) => void) {
    this.#post = post;
  }

  /** To be called with what comes back. */
  onAnswers(answers: readonly Answer[]): void {
    for (const [number, value] of answers) {
      this.#waiting.get(number)?.(value);
      this.#waiting.delete(number);
    }
  }

  acquire(wants: readonly LimitRequest[]): Promise<LimitRequest[0] | null> {
    return this.#ask("acquire", wants);
  }

  release(wants: readonly LimitRequest[]): void {
    this.#tell("release", wants);
  }

  forceAcquire(want: LimitRequest, count: number): void {
    this.#tell("forceAcquire", want, count);
  }

  async pass(ticket: number, user: string, octets: number): Promise<void> {
    await this.#ask("pass", ticket, user, octets);
  }

  cancel(ticket: number): void {
    this.#tell("cancel", ticket);
  }

  releaseUser(user: string): void {
    this.#tell("releaseUser", user);
  }

  isLocked(client: string): Promise<boolean> {
    return this.#ask("isLocked", client);
  }

  failed(client: string): Promise<number> {
    return this.#ask("failed", client);
  }

  succeeded(client: string): Promise<boolean> {
    return this.#ask("succeeded", client);
  }

  #ask<K extends Asked>(
    method: K,
    ...args: Parameters<WorkerLimits[K]>
  ): Promise<Awaited<ReturnType<WorkerLimits[K]>>> {
    const number = ++this.#lastNumber;
    this.#send([number, method, args]);
    return new Promise((resolve) => {
      this.#waiting.set(number, resolve as (value: unknown) => void);
    });
  }

  #tell<K extends Told>(method: K, ...args: Parameters<WorkerLimits[K]>): void {
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

type Asked = "acquire" | "pass" | "isLocked" | "failed" | "succeeded";
type Told = "release" | "forceAcquire" | "cancel" | "releaseUser";

/** Does what a worker calls; `reply` gets the answers, at once and later ones. */
export function answer(
  account: WorkerLimits,
  calls: readonly Call[],
  reply: (answers: readonly Answer[]) => void,
): void {
  const answers: Answer[] = [];
  for (const [number, method, args] of calls) {
    const call = account[method as Asked | Told] as (
      ...args: unknown[]
    ) => unknown;
    const value = call.apply(account, [...args]);
    if (number === null) continue;
    if (value instanceof Promise) value.then((it) => reply([[number, it]]));
    else answers.push([number, value]);
  }
  if (answers.length > 0) reply(answers);
}
