/**
 * Logins that were correct a short time ago.
 *
 * @module
 */

import type { Clock } from "../../transport/clock.ts";
import type { Credentials } from "./verifier.ts";

/** The maximum number of logins that are remembered. */
const MAX_LOGINS = 10_000;

/** Remembers correct logins, as keyed hashes: no password stays in memory. */
export class RecentLogins {
  readonly #duration: number;
  readonly #clock: Clock;
  /** When each login is forgotten, in the order of the times. */
  readonly #until = new Map<string, number>();
  #key: Promise<CryptoKey> | undefined;

  /** Remembers logins for this number of milliseconds; 0 for none. */
  constructor(duration: number, clock: Clock) {
    this.#duration = duration;
    this.#clock = clock;
  }

  /** Whether the login was added and is not forgotten. */
  async has(login: Credentials): Promise<boolean> {
    if (this.#until.size === 0) return false;
    const until = this.#until.get(await this.#digest(login));
    return until !== undefined && this.#clock.now() < until;
  }

  /** Remembers a correct login. */
  async add(login: Credentials): Promise<void> {
    if (this.#duration === 0) return;
    const digest = await this.#digest(login);
    const now = this.#clock.now();
    this.#until.delete(digest);
    this.#until.set(digest, now + this.#duration);
    for (const [oldest, until] of this.#until) {
      if (this.#until.size <= MAX_LOGINS && now < until) break;
      this.#until.delete(oldest);
    }
  }

  async #digest({ username, password }: Credentials): Promise<string> {
    const key = await (this.#key ??= newKey());
    const text = new Uint8Array(1 + username.length + password.length);
    text[0] = username.length; // so that "ab" + "c" differs from "a" + "bc"
    text.set(username, 1);
    text.set(password, 1 + username.length);
    const digest = await crypto.subtle.sign("HMAC", key, text);
    return String.fromCharCode(...new Uint8Array(digest));
  }
}

function newKey(): Promise<CryptoKey> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign"]);
}
