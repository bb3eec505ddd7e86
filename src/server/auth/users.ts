/**
 * Users and the hashes of their passwords.
 *
 * @module
 */

import { quote } from "../../protocol/escape.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import type { UserAttributes } from "../accounting/user_attributes.ts";
import { clientKey } from "../client_key.ts";
import { keyOf } from "./name.ts";
import {
  matches,
  parseHash,
  type PasswordHash,
  sameBytes,
  unmatchedHash,
} from "./password_hash.ts";
import type { Credentials, Verifier, VerifyContext } from "./verifier.ts";
import { WorkQueue } from "./work_queue.ts";

/** Options of {@linkcode Users}. */
export interface UsersOptions {
  /**
   * How long a correct login is remembered, so that it needs no hashing, in milliseconds.
   * 0 = each login is hashed.
   *
   * @default {600_000}
   */
  readonly remember?: number;
  /** The clock for `remember`. By default the runtime's clock. */
  readonly clock?: Clock;
}

/** A user: the name, the hash of the password, and the attributes, if there are any. */
export type UserEntry = readonly [
  name: string,
  hash: string,
  attributes?: UserAttributes,
];

interface User {
  readonly hash: PasswordHash;
  /** The digest of the last correct login. */
  digest: Uint8Array;
  /** When it expires. */
  until: number;
}

interface PendingLogin {
  readonly verdict: Promise<boolean | undefined>;
  readonly contexts: Partial<VerifyContext>[];
}

/**
 * The users who may log in, with the hashes of their passwords; a
 * {@linkcode Verifier} for {@linkcode userPass}.
 *
 * The hash determines how much work it takes to verify a login. Logins of unknown users
 * take the same work; if the costs of the hashes differ, every login takes the highest
 * one. Only a few logins are verified at a time, because each keeps a core busy; a
 * limited number of others wait. A correct login is remembered as a keyed digest, so that
 * for some minutes it costs only that digest. A wrong login always costs the full amount.
 */
export class Users implements Verifier {
  /** The hash of each name. */
  readonly hashes: ReadonlyMap<string, string>;
  /**
   * What the users may do, of those who have attributes. The server asks for it by its option
   * `userAttributes`.
   */
  readonly attributes: ReadonlyMap<string, UserAttributes>;
  readonly #users = new Map<string, User>();
  readonly #nobody: User;
  readonly #remember: number;
  readonly #clock: Clock;
  readonly #queue = new WorkQueue({
    atOnce: hashingAtOnce(),
    waiting: 128,
    perClient: 32,
  });
  readonly #pending = new Map<string, PendingLogin>();
  #key: Promise<CryptoKey> | undefined;

  /**
   * Takes names, which stand for their UTF-8 bytes, hashes made by {@linkcode
   * hashPassword}, and attributes.
   *
   * @throws {TypeError} when there is no user, a name occurs twice or is not 1 to
   * 255 bytes long, or a hash is malformed. No message contains a hash.
   *
   * @example
   * ```ts
   * import { hashPassword, userPass, Users } from "@x/socks5/server";
   *
   * const users = new Users([["alice", await hashPassword("correct horse")]]);
   * const auth = [userPass(users)];
   * ```
   */
  constructor(
    hashes: Iterable<UserEntry>,
    options: UsersOptions = {},
  ) {
    checkKeys(options, ["remember", "clock"], "the options of Users");
    const { remember = 600_000, clock = systemClock } = options;
    const texts = new Map<string, string>();
    const attributes = new Map<string, UserAttributes>();
    for (const [name, text, given] of hashes) {
      const problem = problemOfName(name) ?? problemOfHash(text) ??
        (texts.has(name) ? "there is already a user of this name" : undefined);
      if (problem) throw new TypeError(`${problem} (${quote(name)})`);
      texts.set(name, text);
      if (given) attributes.set(name, given);
      this.#users.set(keyOf(encode(name)), userOf(parseHash(text)));
    }
    if (texts.size === 0) throw new TypeError("there is no user");
    const all = [...this.#users.values()].map(({ hash }) => hash.iterations);
    this.#nobody = userOf(unmatchedHash(all.reduce((a, b) => Math.max(a, b))));
    this.hashes = texts;
    this.attributes = attributes;
    this.#remember = remember;
    this.#clock = clock;
  }

  /**
   * Whether the login is correct; `undefined` if it was not verified, because too many
   * others are waiting or because `isWanted()` returns `false`. At most 32 logins of each
   * client address may wait.
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { hashPassword, Users } from "@x/socks5/server";
   *
   * const users = new Users([["alice", await hashPassword("correct horse")]]);
   * const encoder = new TextEncoder();
   * const username = encoder.encode("alice");
   * const password = encoder.encode("battery staple");
   * assertEquals(await users.verify({ username, password }), false);
   * ```
   */
  async verify(
    credentials: Credentials,
    context: Partial<VerifyContext> = {},
  ): Promise<boolean | undefined> {
    const { username, password } = credentials;
    const digest = await this.#digest(credentials);
    const user = this.#users.get(keyOf(username)) ?? this.#nobody;
    if (this.#remembers(user, digest)) return true;
    // The many connections that a client opens at first share one verdict.
    const key = keyOf(digest);
    const pending = this.#pending.get(key);
    if (pending) {
      pending.contexts.push(context);
      return await pending.verdict;
    }
    const contexts = [context];
    const verdict = this.#queue.run(
      clientKey(context.client?.hostname ?? ""),
      async () => {
        try {
          return contexts.some(isWanted)
            ? await this.#check(user, password, digest)
            : undefined;
        } finally {
          this.#pending.delete(key);
        }
      },
    );
    if (verdict) this.#pending.set(key, { verdict, contexts });
    return await verdict;
  }

  /** Whether there is a user of this name. */
  knows(username: Uint8Array): boolean {
    return this.#users.has(keyOf(username));
  }

  /** Keyed, so that the remembered digests are useless outside of this process. */
  async #digest({ username, password }: Credentials): Promise<Uint8Array> {
    this.#key ??= digestKey();
    const login = new Uint8Array(4 + username.length + password.length);
    new DataView(login.buffer).setUint32(0, username.length);
    login.set(username, 4);
    login.set(password, 4 + username.length);
    return new Uint8Array(
      await crypto.subtle.sign("HMAC", await this.#key, login),
    );
  }

  #remembers(user: User, digest: Uint8Array): boolean {
    return sameBytes(user.digest, digest) && this.#clock.now() < user.until;
  }

  async #check(
    user: User,
    password: Uint8Array,
    digest: Uint8Array,
  ): Promise<boolean> {
    const isRight = await matches(password, user.hash);
    const { hash } = this.#nobody;
    const missing = hash.iterations - user.hash.iterations;
    if (missing > 0) await matches(password, { ...hash, iterations: missing });
    if (!isRight || user === this.#nobody) return false;
    user.digest = digest;
    user.until = this.#clock.now() + this.#remember;
    return true;
  }
}

function digestKey(): Promise<CryptoKey> {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const hmac = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", bytes, hmac, false, ["sign"]);
}

function isWanted(context: Partial<VerifyContext>): boolean {
  return context.isWanted?.() ?? true;
}

function userOf(hash: PasswordHash): User {
  return { hash, digest: new Uint8Array(32), until: -Infinity };
}

/** Returns why this cannot be a user name, or `undefined` if it can. */
export function problemOfName(name: string): string | undefined {
  const { length } = encode(name);
  if (length < 1 || length > 255) return "a user name has 1 to 255 bytes";
  if (name !== name.trim()) return "white space around the name";
  if (name.includes("\uFFFD")) return "the name is not UTF-8";
  return undefined;
}

/** Returns why this is not a password hash, or `undefined` if it is one. */
export function problemOfHash(hash: string): string | undefined {
  if (!hash.startsWith("$")) {
    return "no password hash (the hash-password command makes one)";
  }
  try {
    parseHash(hash);
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/**
 * Hashing keeps a core busy. On small machines one core is left for everything else.
 * Node.js has four threads for such work, which name look-ups and the digests above need
 * as well.
 */
function hashingAtOnce(): number {
  const { navigator } = globalThis as {
    navigator?: { hardwareConcurrency?: number };
  };
  return (navigator?.hardwareConcurrency ?? 1) < 4 ? 1 : 2;
}
