/**
 * Steps with a time limit, which leave nothing open.
 *
 * @module
 */

import { NetError } from "../../transport/errors.ts";
import { closeQuietly } from "../../transport/quiet.ts";

interface Closable {
  close(): unknown;
}

/** The resources that a step has opened. */
export class Scope {
  readonly #controller = new AbortController();
  readonly #kept: Closable[] = [];
  #isOver = false;

  /** Fires when the step is over, with the reason. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Takes over something that is closed with the step. */
  keep<T extends Closable>(it: T): T {
    if (this.#isOver) closeQuietly(it);
    else this.#kept.push(it);
    return it;
  }

  /** Closes everything. */
  end(reason?: unknown): void {
    this.#isOver = true;
    this.#controller.abort(reason);
    for (const it of this.#kept.splice(0).reverse()) closeQuietly(it);
  }
}

/** Runs a step. Rejects with a `NetError` of kind `timeout` if it takes too long. */
export async function limited<T>(
  timeout: number,
  step: (scope: Scope) => Promise<T>,
): Promise<T> {
  const scope = new Scope();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `no answer within ${timeout / 1000} s`;
      const error = new NetError("timeout", message);
      scope.end(error);
      reject(error);
    }, timeout);
  });
  try {
    return await Promise.race([step(scope), late]);
  } finally {
    clearTimeout(timer);
    scope.end();
  }
}
