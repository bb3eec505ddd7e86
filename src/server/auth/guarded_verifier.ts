/**
 * A verifier that slows down and locks out clients whose logins fail. It knows
 * no protocol: all protocols with logins use it.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import { withSignal } from "../../transport/dial.ts";
import type { Timeout } from "../../transport/timeouts.ts";
import { Lockout, type LockoutOptions, type LoginGuard } from "./lockout.ts";
import type { Credentials, Verifier, VerifyContext } from "./verifier.ts";

/** How failed logins are counted and answered. */
export interface GuardOptions extends LockoutOptions {
  /**
   * Counts failed logins. By default a {@linkcode Lockout} of its own, made from
   * the other options. Give the same one to several servers, or to each of them
   * its store of one `Coordinator`, to count failures for all of them.
   */
  readonly guard?: LoginGuard;
}

/** The part of {@linkcode VerifyContext} that comes from the session; an `AuthExchange` has it. */
export type LoginSource = Pick<VerifyContext, "client" | "signal">;

/** Verifies logins, and delays the answers to wrong ones. */
export class GuardedVerifier implements Verifier {
  readonly #verifier: Verifier;
  readonly #guard: LoginGuard;
  readonly #clock: Clock;

  /** @throws {TypeError} when a number of the options is not a whole number. */
  constructor(verifier: Verifier, options: GuardOptions = {}) {
    this.#verifier = verifier;
    this.#guard = options.guard ?? new Lockout(options);
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * The verifier's answer, but `false` for a client that is locked out. Rejects if
   * the session ends during a delay, and with the errors of the guard.
   */
  async verify(
    credentials: Credentials,
    source: LoginSource,
  ): Promise<boolean | undefined> {
    const { hostname } = source.client;
    if (await this.#guard.isLocked(hostname)) return false;
    let isRight;
    try {
      const context = this.#contextOf(source);
      isRight = await this.#verifier.verify(credentials, context);
    } catch {
      return undefined;
    }
    if (isRight === undefined) return undefined;
    // A login that was verified at the same time may have locked the client out.
    if (isRight === true && await this.#guard.succeeded(hostname)) return true;
    const delay = await this.#guard.failed(hostname);
    if (delay > 0) await this.#pause(delay, source.signal);
    return false;
  }

  /**
   * Reads the signal only if it is used: it costs an `AbortController`, and most
   * verifiers need none.
   */
  #contextOf(source: LoginSource): VerifyContext {
    const { client } = source;
    return {
      client,
      get signal() {
        return source.signal;
      },
      isWanted: () =>
        !source.signal.aborted && !this.#isLockedHere(client.hostname),
    };
  }

  /** Only a guard in this process is cheap enough to be asked again. */
  #isLockedHere(client: string): boolean {
    return this.#guard instanceof Lockout && this.#guard.isLocked(client);
  }

  /**
   * Waits; rejects when the session ends. The client's FIN does not end it:
   * otherwise a FIN right after the login would be a way around the delay.
   */
  #pause(ms: number, signal: AbortSignal): Promise<void> {
    let timeout: Timeout;
    const over = new Promise<void>((resolve) => {
      timeout = this.#clock.startTimeout(ms, resolve);
    });
    return withSignal(over, signal).finally(() => timeout.cancel());
  }
}
