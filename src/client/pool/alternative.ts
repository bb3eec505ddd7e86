/**
 * One alternative of a pool, and its health.
 *
 * @module
 */

import type { Clock } from "../../transport/clock.ts";
import type { ChainDialer } from "../dialer.ts";
import type { SocksError } from "../error.ts";

/** How long a failed alternative rests, in milliseconds. */
export interface PoolBackoff {
  /** After the first failure; each further one in a row doubles it. @default {1_000} */
  readonly min?: number;
  /** At most. @default {60_000} */
  readonly max?: number;
}

/** The state of an alternative. */
export interface AlternativeStatus {
  /** Its name. */
  readonly name: string;
  /** The URLs of its hops without credentials, separated by spaces. */
  readonly hops: string;
  /** Its weight. */
  readonly weight: number;
  /** The number of its failures since it was last reached. */
  readonly failures: number;
  /** How long it rests from now on, in milliseconds; 0 if it does not. */
  readonly restsFor: number;
  /** The last of these failures. */
  readonly error?: SocksError;
}

/** An alternative, and what is known of it. */
export class Alternative {
  readonly name: string;
  readonly weight: number;
  readonly dialer: ChainDialer;
  readonly #clock: Clock;
  readonly #backoff: Required<PoolBackoff>;
  #failures = 0;
  #error: SocksError | undefined;
  /** How often it has begun to rest, and when the last rest ends. */
  #rests = 0;
  #restsUntil = -Infinity;
  /** The attempt that finds out whether it works again. */
  #trial: AlternativeAttempt | undefined;

  constructor(
    parts: Pick<Alternative, "name" | "weight" | "dialer">,
    backoff: Required<PoolBackoff>,
    clock: Clock,
  ) {
    this.name = parts.name;
    this.weight = parts.weight;
    this.dialer = parts.dialer;
    this.#backoff = backoff;
    this.#clock = clock;
  }

  /**
   * Whether the next attempt may use it. After a rest it is tried by a single attempt: the
   * others would wait for its timeout as well.
   */
  get isUsable(): boolean {
    return this.#failures === 0 || this.restsFor === 0 && !this.#trial;
  }

  /** See {@linkcode AlternativeStatus.restsFor}. */
  get restsFor(): number {
    return Math.max(0, this.#restsUntil - this.#clock.now());
  }

  get status(): AlternativeStatus {
    const { name, weight, dialer, restsFor } = this;
    return {
      name,
      hops: `${dialer}`,
      weight,
      failures: this.#failures,
      restsFor,
      ...this.#error && { error: this.#error },
    };
  }

  /** Begins an attempt, which must be ended by one of the other methods. */
  begin(): AlternativeAttempt {
    const attempt = { rests: this.#rests };
    if (this.#failures > 0) this.#trial ??= attempt;
    return attempt;
  }

  /** The attempt has reached the last hop. */
  reached(attempt: AlternativeAttempt): void {
    this.ended(attempt);
    this.#failures = 0;
    this.#error = undefined;
    this.#restsUntil = -Infinity;
  }

  /** The attempt has not reached the last hop. */
  failed(attempt: AlternativeAttempt, error: SocksError): void {
    this.ended(attempt);
    // Attempts that were under way together count as one.
    if (attempt.rests !== this.#rests) return;
    const { min, max } = this.#backoff;
    const rest = Math.min(max, min * 2 ** this.#failures++);
    this.#error = error;
    this.#rests++;
    this.#restsUntil = this.#clock.now() + rest;
  }

  /** The attempt has ended without a result. */
  ended(attempt: AlternativeAttempt): void {
    if (this.#trial === attempt) this.#trial = undefined;
  }
}

/** An attempt to use an alternative. */
export interface AlternativeAttempt {
  /** How often the alternative had begun to rest when the attempt began. */
  readonly rests: number;
}
