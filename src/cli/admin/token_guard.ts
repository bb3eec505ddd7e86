/**
 * Verifies the token of the admin port.
 *
 * @module
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { Lockout } from "../../server/auth/lockout.ts";
import { isLoopback } from "../../protocol/address.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import { RequestError } from "./answer.ts";

/** How many answers to wrong tokens may wait at the same time. */
const MAX_WAITING = 8;
/** Stands for all loopback addresses, any of which a user of this machine can choose. */
const LOOPBACK = "127.0.0.1";

/** Makes a token that nobody guesses. */
export function newToken(): string {
  return randomBytes(32).toString("base64url");
}

/**
 * Compares tokens in constant time. From the third wrong one on, the answers to a client are
 * delayed: 250 ms, then twice as long each time, up to 4 s. After five minutes without a wrong
 * one it starts again. Right tokens do not reset it: another user of the machine may send them.
 * Eight such answers may be outstanding; then further wrong tokens are refused, and not logged.
 *
 * The right token is never delayed or refused, whatever others send from the same address: on
 * loopback, all users of the machine have it. A client that guesses can therefore take a
 * missing answer for a wrong token, and guess faster than its answers come. Delays cannot
 * prevent that without shutting out the operator; the length of the token does.
 */
export class TokenGuard {
  readonly #token: () => string;
  readonly #clock: Clock;
  readonly #failures: Lockout;
  #waiting = 0;

  /** `token` returns the current token. */
  constructor(token: () => string, clock: Clock = systemClock) {
    this.#token = token;
    this.#clock = clock;
    // Nobody is locked out: on loopback, that would lock out everyone.
    this.#failures = new Lockout({ failedLogins: 0, clock });
  }

  /**
   * Verifies the value of the field `Authorization`. Resolves with whether a wrong token
   * was given, or none.
   *
   * @throws {RequestError} 429 if it is wrong, and too many answers are delayed already.
   */
  async verify(
    authorization: string | undefined,
    client: string,
  ): Promise<"right" | "wrong" | "missing"> {
    const [, given] = /^Bearer +(\S+)$/i.exec(authorization ?? "") ?? [];
    if (given === undefined) return "missing";
    if (isSame(given, this.#token())) return "right";
    if (this.#waiting >= MAX_WAITING) throw tooMany();
    const delay = this.#failures.failed(isLoopback(client) ? LOOPBACK : client);
    this.#waiting++;
    await this.#pause(delay);
    this.#waiting--;
    return "wrong";
  }

  #pause(ms: number): Promise<void> {
    if (ms === 0) return Promise.resolve();
    return new Promise((resolve) =>
      this.#clock.startTimeout(ms, () => resolve())
    );
  }
}

/** The digests have the same length, and their order says nothing about the tokens. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other));
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

function tooMany(): RequestError {
  return new RequestError(429, "too many wrong tokens: try again in 4 s", {
    "retry-after": "4",
  });
}
