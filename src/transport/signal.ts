/**
 * The little of `AbortSignal` that this library needs, so that it can do
 * without one where an `AbortController` would cost as much as the rest of a
 * connection attempt (10 µs and a kilobyte on Node.js 20).
 *
 * @module
 */

/** An `AbortSignal`, or anything else with these members of it. */
export interface AbortSignalLike {
  /** Whether it has fired. */
  readonly aborted: boolean;
  /** Why. */
  readonly reason: unknown;
  /** Calls the listener when it fires. */
  addEventListener(type: "abort", listener: () => void): void;
  /** Takes the listener back. */
  removeEventListener(type: "abort", listener: () => void): void;
}

/** A {@linkcode AbortSignalLike} and the switch for it. */
export class AbortSwitch implements AbortSignalLike {
  aborted = false;
  reason: unknown;
  /** Most switches have one at a time. */
  #listener: (() => void) | undefined;
  #others: Set<() => void> | undefined;

  addEventListener(_type: "abort", listener: () => void): void {
    if (this.#listener === listener || this.#others?.has(listener)) return;
    if (!this.#listener) this.#listener = listener;
    else (this.#others ??= new Set()).add(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    if (this.#listener === listener) this.#listener = undefined;
    else this.#others?.delete(listener);
  }

  /** Fires, the first time. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    const others = this.#others;
    this.#listener?.();
    others?.forEach((listener) => listener());
  }
}

/** An `AbortSignal` that fires with another kind of signal. */
export function toAbortSignal(signal: AbortSignalLike): AbortSignal {
  if (signal instanceof AbortSignal) return signal;
  const controller = new AbortController();
  const onAbort = () => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort);
  return controller.signal;
}
