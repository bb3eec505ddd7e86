/**
 * The part of `AbortSignal` that this library needs, because an
 * `AbortController` costs as much as the rest of a connection attempt (10 µs and
 * a kilobyte on Node.js 20). User code always gets real `AbortSignal`s.
 *
 * @module
 */

/** An `AbortSignal`, or anything else with these members of it. */
export interface AbortSignalLike {
  /** Whether it has fired. */
  readonly aborted: boolean;
  /** Why it has fired. */
  readonly reason: unknown;
  /** Calls the listener when it fires. */
  addEventListener(type: "abort", listener: () => void): void;
  /** Removes the listener. */
  removeEventListener(type: "abort", listener: () => void): void;
}

/** A signal and its controller in one light object. */
export class AbortSwitch implements AbortSignalLike {
  aborted = false;
  reason: unknown;
  /** Most switches have one listener at a time. */
  #listener: (() => void) | undefined;
  #others: Set<() => void> | undefined;
  #signal: AbortSignal | undefined;

  /** The same as an `AbortSignal`, made on first use. */
  get signal(): AbortSignal {
    if (this.#signal) return this.#signal;
    const controller = new AbortController();
    const onAbort = () => controller.abort(this.reason);
    if (this.aborted) onAbort();
    else this.addEventListener("abort", onAbort);
    return this.#signal = controller.signal;
  }

  addEventListener(_type: "abort", listener: () => void): void {
    if (this.#listener === listener || this.#others?.has(listener)) return;
    if (!this.#listener) this.#listener = listener;
    else (this.#others ??= new Set()).add(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    if (this.#listener === listener) this.#listener = undefined;
    else this.#others?.delete(listener);
  }

  /** Fires; only the first call counts. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    const others = this.#others;
    this.#listener?.();
    others?.forEach((listener) => listener());
  }
}

/** The `AbortSignal` for any kind of signal; without one a signal that never fires. */
export function toAbortSignal(
  signal: AbortSignalLike = new AbortSwitch(),
): AbortSignal {
  if (signal instanceof AbortSignal) return signal;
  if (signal instanceof AbortSwitch) return signal.signal;
  const copy = new AbortSwitch();
  const onAbort = () => copy.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort);
  return copy.signal;
}

/** An argument for user code: its `signal` is made when it is looked at. */
export function signalContext(
  signal: AbortSignalLike | undefined,
): { readonly signal: AbortSignal } {
  return {
    get signal() {
      return toAbortSignal(signal);
    },
  };
}
