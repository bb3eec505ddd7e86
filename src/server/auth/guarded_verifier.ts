/**
 * A verifier that slows down and locks out clients whose logins fail. It is independent
 * of the protocol: all protocols with logins use it.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import { withSignal } from "../../transport/dial.ts";
import type { Timeout } from "../../transport/timeouts.ts";
import type { LoginFailure } from "./method.ts";
import { safeCause } from "./safe_cause.ts";
import { Lockout, type LockoutOptions, type LoginGuard } from "./lockout.ts";
import { splitSessionWord, type WordedName } from "./session_word.ts";
import type { Credentials, Verifier, VerifyContext } from "./verifier.ts";

/** How failed logins are counted and answered. */
export interface GuardOptions extends LockoutOptions {
  /**
   * Counts failed logins. By default a {@linkcode Lockout} of its own, made from the
   * other options. To count the failures on several servers together, pass the same guard
   * to all of them, or pass each its own store of one `Coordinator`.
   */
  readonly guard?: LoginGuard;
}

/** The names of the members of {@linkcode GuardOptions}. */
export const GUARD_KEYS: readonly string[] = Object.keys(
  {
    failedLogins: true,
    lockout: true,
    clock: true,
    guard: true,
  } satisfies Record<keyof GuardOptions, true>,
);

/** The outcome of a login. */
export interface LoginOutcome {
  /** As {@linkcode Verifier.verify} returns it. */
  readonly ok: boolean | undefined;
  /** Why it is refused, if not because it is wrong. */
  readonly failure?: LoginFailure;
  /** The parts of the user name of a correct login, if it has a session word. */
  readonly worded?: WordedName;
}

const RIGHT: LoginOutcome = { ok: true };
const LOCKED_OUT: LoginOutcome = { ok: false, failure: { kind: "locked-out" } };

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

  /** As {@linkcode check}, without the reason. */
  async verify(
    credentials: Credentials,
    source: LoginSource,
  ): Promise<boolean | undefined> {
    return (await this.check(credentials, source)).ok;
  }

  /**
   * The verifier's answer, but `false` for a client that is locked out. Rejects if
   * the session ends during a delay, and with the errors of the guard. With `sessionWords`
   * the user name may end with one; the login counts as one in any case.
   */
  async check(
    credentials: Credentials,
    source: LoginSource,
    sessionWords = false,
  ): Promise<LoginOutcome> {
    const { hostname } = source.client;
    if (await this.#guard.isLocked(hostname)) return LOCKED_OUT;
    const worded = sessionWords
      ? splitSessionWord(credentials.username)
      : undefined;
    let isRight: boolean | undefined = false;
    let hasWord = false;
    try {
      const context = this.#contextOf(source);
      const isKnown = !worded ||
        this.#verifier.knows?.(credentials.username) === true;
      if (isKnown || !this.#verifier.knows) {
        isRight = await this.#verifier.verify(credentials, context);
      }
      if (!isKnown && isRight === false) {
        const { username } = worded;
        const { password } = credentials;
        hasWord = true;
        isRight = await this.#verifier.verify({ username, password }, context);
      }
    } catch (error) {
      return notVerified(safeCause(error, credentials));
    }
    if (isRight === undefined) return notVerified();
    // A login that was verified at the same time may have locked the client out.
    const passes = isRight === true && await this.#guard.succeeded(hostname);
    if (passes) return hasWord ? { ok: true, worded } : RIGHT;
    const delay = await this.#guard.failed(hostname);
    if (delay > 0) await this.#pause(delay, source.signal);
    return isRight === true ? LOCKED_OUT : { ok: false };
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

  /** Asking again is cheap only for a guard in this process. */
  #isLockedHere(client: string): boolean {
    return this.#guard instanceof Lockout && this.#guard.isLocked(client);
  }

  /**
   * Waits, and rejects when the session ends. The client's FIN does not end the wait:
   * otherwise a client could avoid the delay by a FIN right after the login.
   */
  #pause(ms: number, signal: AbortSignal): Promise<void> {
    let timeout: Timeout;
    const over = new Promise<void>((resolve) => {
      timeout = this.#clock.startTimeout(ms, resolve);
    });
    return withSignal(over, signal).finally(() => timeout.cancel());
  }
}

function notVerified(cause?: Error): LoginOutcome {
  return { ok: undefined, failure: { kind: "not-verified", cause } };
}
