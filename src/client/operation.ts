/**
 * Operations with a time limit and signals, which leave nothing open when they fail.
 *
 * @module
 */

import type { Clock } from "../transport/clock.ts";
import { abortError, NetError } from "../transport/errors.ts";
import { closeQuietly } from "../transport/quiet.ts";
import { AbortSwitch, onAbort } from "../transport/signal.ts";
import { checkSignal, checkTimeout } from "./options.ts";

/** Bounds of an {@linkcode Operation}. */
export interface OperationBounds {
  /** In milliseconds; 0 means no limit. */
  readonly timeout: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** A second signal, with the same effect. */
  readonly defaultSignal?: AbortSignal;
}

interface Closable {
  close(): void;
}

/** An operation that can fail or be ended at any time. */
export abstract class Operation {
  /** Fires when the operation ends early. */
  readonly stopping: AbortSwitch = new AbortSwitch();
  readonly #opened: Closable[] = [];
  #failed = false;
  /** Rejects the promise that {@linkcode Operation.run} waits for. */
  #interrupt: ((error: NetError) => void) | undefined;

  /** The bounds of {@linkcode Operation.run}. */
  protected abstract readonly bounds: OperationBounds;

  /** The error for the caller. */
  protected abstract callerError(error: unknown): unknown;

  /**
   * Runs the steps within the bounds. If they fail, everything that they opened
   * is closed and the rejection is the error for the caller.
   */
  async run<T>(steps: () => Promise<T>): Promise<T> {
    let stopLimiting: (() => void) | undefined;
    try {
      stopLimiting = this.#limit();
      this.throwIfStopped();
      const result = await this.#untilEnded(steps());
      this.throwIfStopped();
      return result;
    } catch (error) {
      this.#failed = true;
      this.close();
      throw this.callerError(error);
    } finally {
      stopLimiting?.();
    }
  }

  /** Enforces the bounds until the returned function is called. */
  #limit(): () => void {
    const { timeout, clock, signal, defaultSignal } = this.bounds;
    checkTimeout(timeout);
    if (signal) checkSignal(signal);
    if (defaultSignal) checkSignal(defaultSignal);
    const timer = clock.startTimeout(timeout, endLate, this);
    if (!signal && !defaultSignal) return () => timer.cancel();
    const signals = [signal, defaultSignal].filter((it) => it !== undefined);
    const endIfFired = () => {
      const fired = signals.find((it) => it.aborted);
      if (fired) this.end(abortError(fired));
    };
    const offs = signals.map((it) => onAbort(it, endIfFired));
    endIfFired();
    return () => {
      timer.cancel();
      for (const off of offs) off();
    };
  }

  /** Ends the operation because its timeout has expired. */
  endLate(): void {
    const { timeout } = this.bounds;
    this.end(new NetError("timeout", `no reply within ${timeout} ms`));
  }

  /** Ends the operation early with this error. */
  end(error: NetError): void {
    this.stopping.abort(error);
    this.close();
    this.#interrupt?.(error);
  }

  /**
   * Settles like the steps, or rejects as soon as the operation is ended: connections and
   * transports of users may ignore that they are closed or aborted.
   */
  #untilEnded<T>(steps: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#interrupt = reject;
      steps.then(resolve, reject);
    });
  }

  /** Throws the error of an operation that has been ended. */
  protected throwIfStopped(): void {
    if (this.stopping.aborted) throw abortError(this.stopping);
  }

  /** Closes everything that was opened, the last first. */
  protected close(): void {
    for (let i = this.#opened.length; i-- > 0;) {
      closeQuietly(this.#opened[i]);
    }
  }

  /** Waits for something that is closed if the operation fails, or has failed meanwhile. */
  async open<T extends Closable>(opening: Promise<T>): Promise<T> {
    const it = await opening;
    this.keep(it);
    this.throwIfStopped();
    return it;
  }

  /** Takes over something that is closed if the operation fails, or has failed. */
  protected keep(it: Closable): void {
    if (this.#failed || this.stopping.aborted) closeQuietly(it);
    else this.#opened.push(it);
  }
}

// One function for all operations, which saves each a closure.
function endLate(operation: Operation): void {
  operation.endLate();
}
