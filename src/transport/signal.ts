/**
 * The part of `AbortSignal` that this library needs. An `AbortController` costs as much as
 * the rest of a connection attempt (10 µs and a kilobyte on Node.js 20), so it is created
 * only for user code, which always gets a real `AbortSignal`.
 *
 * @module
 */

/** An `AbortSignal`, or any other object with these members. */
export interface AbortSignalLike {
  /** Whether the signal has fired. */
  readonly aborted: boolean;
  /** Why the signal has fired. */
  readonly reason: unknown;
  /** Adds a listener that is called when the signal fires. */
  addEventListener(type: "abort", listener: () => void): void;
  /** Removes a listener. */
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

  /** An `AbortSignal` that fires together with this switch; created on first use. */
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

  /** Fires the signal. Only the first call has an effect. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    const others = this.#others;
    this.#listener?.();
    others?.forEach((listener) => listener());
  }
}

/**
 * Calls the listener when the signal fires, unless the returned function was called
 * before. The signal gets a single listener, which calls all others: Node.js 20 warns of a
 * leak when one signal has more than ten, although many attempts may share a signal.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  let shared = SHARED.get(signal);
  if (!shared) SHARED.set(signal, shared = new SharedListener(signal));
  shared.add(listener);
  return () => shared.delete(listener);
}

/** One listener of a signal, which calls many. */
class SharedListener {
  readonly #signal: AbortSignal;
  readonly #listeners = new Set<() => void>();
  readonly #call = () => {
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (error) {
        queueMicrotask(() => {
          throw error; // uncaught, as it would be in a listener of its own
        });
      }
    }
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(listener: () => void): void {
    const isFirst = this.#listeners.size === 0;
    this.#listeners.add(listener);
    if (isFirst) this.#signal.addEventListener("abort", this.#call);
  }

  delete(listener: () => void): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#signal.removeEventListener("abort", this.#call);
  }
}

const SHARED = new WeakMap<AbortSignal, SharedListener>();

/**
 * Returns an `AbortSignal` that fires together with any kind of signal, or one that
 * never fires if there is none.
 *
 * @example
 * ```ts
 * import { type AbortSignalLike, toAbortSignal } from "@x/socks5/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const signal: AbortSignalLike = AbortSignal.abort("too slow");
 * assertEquals(toAbortSignal(signal).reason, "too slow");
 * assertEquals(toAbortSignal().aborted, false);
 * ```
 */
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

/** Returns an argument for user code; its `signal` is created on first use. */
export function signalContext(
  signal: AbortSignalLike | undefined,
): { readonly signal: AbortSignal } {
  return {
    get signal() {
      return toAbortSignal(signal);
    },
  };
}
