/**
 * The end of a call of `fetch()` by its signal.
 *
 * @module
 */

/** Passes the abort of a signal on to whatever the call waits for at the moment. */
export class Stop {
  readonly #signal: AbortSignal | undefined;
  #action: ((reason: unknown) => void) | undefined;

  constructor(signal: AbortSignal | null | undefined) {
    this.#signal = signal ?? undefined;
    this.#signal?.addEventListener("abort", this.#fire);
  }

  readonly #fire = () => {
    this.end();
    const action = this.#action;
    this.#action = undefined;
    action?.(this.#signal!.reason);
  };

  /** What to do when the signal fires; `undefined` for nothing. */
  set action(action: ((reason: unknown) => void) | undefined) {
    this.#action = action;
  }

  /** @throws the reason of the signal, if it has fired. */
  check(): void {
    if (this.#signal?.aborted) throw this.#signal.reason;
  }

  /** The call is over. */
  end(): void {
    this.#signal?.removeEventListener("abort", this.#fire);
  }
}
