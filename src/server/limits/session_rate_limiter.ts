/**
 * The rate limiters that apply to one session.
 *
 * @module
 */

import type { RelayRateLimiter } from "../../transport/relay.ts";
import type { UserRateLimiter, Waiter } from "./rate_limiter.ts";

/** Lets the bytes of one session pass when all of its rate limiters allow it. */
export class SessionRateLimiter implements RelayRateLimiter {
  readonly #limiters: readonly UserRateLimiter[];
  readonly #onClose: (() => void) | undefined;
  readonly #waiters = new Map<Waiter, UserRateLimiter>();
  #closed = false;

  constructor(limiters: readonly UserRateLimiter[], onClose?: () => void) {
    this.#limiters = limiters;
    this.#onClose = onClose;
  }

  get slice(): number {
    return Math.min(...this.#limiters.map(({ slice }) => slice));
  }

  pass(bytes: number): Promise<void> | undefined {
    return this.#pass(bytes, 0);
  }

  /** Lets bytes pass now or not at all, for datagrams; returns whether they may. */
  tryPass(bytes: number): boolean {
    if (!this.#limiters.every((it) => it.mayPass())) return false;
    for (const limiter of this.#limiters) limiter.consume(bytes);
    return true;
  }

  /** Cancels all waiters; everything passes from now on. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const [waiter, limiter] of this.#waiters) limiter.cancel(waiter);
    this.#onClose?.();
  }

  #pass(bytes: number, first: number): Promise<void> | undefined {
    if (this.#closed) return undefined;
    for (let i = first; i < this.#limiters.length; i++) {
      const limiter = this.#limiters[i];
      const waiter = limiter.enqueue(bytes);
      if (waiter) return this.#wait(waiter, limiter, i + 1);
    }
  }

  async #wait(
    waiter: Waiter,
    limiter: UserRateLimiter,
    next: number,
  ): Promise<void> {
    this.#waiters.set(waiter, limiter);
    try {
      await waiter.ready;
    } finally {
      this.#waiters.delete(waiter);
    }
    await this.#pass(waiter.bytes, next);
  }
}
