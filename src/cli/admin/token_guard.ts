/**
 * Verifies the token of the admin port.
 *
 * @module
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { Lockout } from "../../server/auth/lockout.ts";
import { clientKey } from "../../server/client_key.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import { RequestError } from "./answer.ts";

/** How many answers to wrong tokens of a client may wait at the same time. */
const MAX_WAITING = 8;

/** Makes a token that nobody guesses. */
export function newToken(): string {
  return randomBytes(32).toString("base64url");
}

/**
 * Compares tokens in constant time. From the third wrong one in a row on, the answers to a
 * client are delayed: 250 ms, then twice as long each time, up to 4 s. A client may have
 * eight such answers outstanding, so it can try two tokens per second.
 */
export class TokenGuard {
  readonly #token: () => string;
  readonly #clock: Clock;
  readonly #failures: Lockout;
  readonly #waiting = new Map<string, number>();

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
   * @throws {RequestError} 429 if too many answers to this client are delayed already.
   */
  async verify(
    authorization: string | undefined,
    client: string,
  ): Promise<"right" | "wrong" | "missing"> {
    const [, given] = /^Bearer +(\S+)$/i.exec(authorization ?? "") ?? [];
    if (given === undefined) return "missing";
    const key = clientKey(client);
    const waiting = this.#waiting.get(key) ?? 0;
    // Before the comparison: otherwise a right guess would still be told from a wrong one.
    if (waiting >= MAX_WAITING) throw tooMany();
    if (isSame(given, this.#token())) {
      this.#failures.succeeded(client);
      return "right";
    }
    const delay = this.#failures.failed(client);
    this.#waiting.set(key, waiting + 1);
    try {
      await this.#pause(delay);
    } finally {
      const left = this.#waiting.get(key)! - 1;
      if (left > 0) this.#waiting.set(key, left);
      else this.#waiting.delete(key);
    }
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
