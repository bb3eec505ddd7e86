/**
 * Users and the hashes of their passwords.
 *
 * @module
 */

import { clientKey } from "../client_key.ts";
import {
  matches,
  parseHash,
  type PasswordHash,
  sameOctets,
  unmatchedHash,
} from "./password_hash.ts";
import { WorkQueue } from "./work_queue.ts";

/** How {@linkcode Users} works. */
export interface UsersOptions {
  /**
   * Milliseconds for which a login that was right needs no hashing. 0 = each
   * login is hashed.
   *
   * @default {600_000}
   */
  readonly remember?: number;
  /**
   * The clock, in milliseconds.
   *
   * @default {performance.now}
   */
  readonly now?: () => number;
}

/** Who asks {@linkcode Users}, and whether still. */
export interface LoginAttempt {
  /** The client's address: of one client only so many logins may wait. */
  readonly client?: string;
  /** Asked before the hashing begins; `false` saves it. */
  readonly isWanted?: () => boolean;
}

interface User {
  readonly hash: PasswordHash;
  /** The digest of the last right login. */
  digest: Uint8Array;
  /** Until when it counts. */
  until: number;
}

interface PendingLogin {
  readonly verdict: Promise<boolean | undefined>;
  readonly attempts: LoginAttempt[];
}

/**
 * The users who may log in. {@linkcode userPass} takes one.
 *
 * A login is verified with the work that its hash asks for, and one of an
 * unknown user with as much (if hashes ask for different amounts, with the
 * most; so is every other). Few logins are verified at the same time, for it
 * keeps a core busy; some wait for their turn. A right login is remembered as a
 * keyed digest and costs only that for some minutes; a wrong one always costs
 * all of it.
 */
export class Users {
  /** The hash of each name. */
  readonly hashes: ReadonlyMap<string, string>;
  readonly #users = new Map<string, User>();
  readonly #nobody: User;
  readonly #remember: number;
  readonly #now: () => number;
  readonly #queue = new WorkQueue({
    atOnce: hashingAtOnce(),
    waiting: 128,
    perClient: 32,
  });
  readonly #pending = new Map<string, PendingLogin>();
  #key: Promise<CryptoKey> | undefined;

  /**
   * Takes names, which stand for their UTF-8 octets, and hashes made by
   * {@linkcode hashPassword}.
   *
   * @throws {TypeError} when there is none, a name is there twice or has not 1
   * to 255 octets, or a hash is none. No message contains a hash.
   *
   * @example
   * ```ts
   * import { hashPassword, userPass } from "@x/socks5/server";
   *
   * const users = new Users([["alice", await hashPassword("correct horse")]]);
   * const auth = [userPass(users)];
   * ```
   */
  constructor(
    hashes: Iterable<readonly [name: string, hash: string]>,
    { remember = 600_000, now = () => performance.now() }: UsersOptions = {},
  ) {
    const texts = new Map<string, string>();
    for (const [name, text] of hashes) {
      const problem = problemOfName(name) ?? problemOfHash(text) ??
        (texts.has(name) ? "there is a user of this name already" : undefined);
      if (problem) throw new TypeError(`${problem} (${JSON.stringify(name)})`);
      texts.set(name, text);
      this.#users.set(keyOf(encode(name)), userOf(parseHash(text)));
    }
    if (texts.size === 0) throw new TypeError("there is no user");
    const all = [...this.#users.values()].map(({ hash }) => hash.iterations);
    this.#nobody = userOf(unmatchedHash(all.reduce((a, b) => Math.max(a, b))));
    this.hashes = texts;
    this.#remember = remember;
    this.#now = now;
  }

  /**
   * Whether the login is right; `undefined` when that was not found out: too
   * many others wait, or nobody wants to know any more.
   */
  async verify(
    username: Uint8Array,
    password: Uint8Array,
    attempt: LoginAttempt = {},
  ): Promise<boolean | undefined> {
    const digest = await this.#digest(username, password);
    const user = this.#users.get(keyOf(username)) ?? this.#nobody;
    if (this.#remembers(user, digest)) return true;
    // The many connections that a client opens first share one verdict.
    const key = keyOf(digest);
    const pending = this.#pending.get(key);
    if (pending) {
      pending.attempts.push(attempt);
      return await pending.verdict;
    }
    const attempts = [attempt];
    const verdict = this.#queue.run(
      clientKey(attempt.client ?? ""),
      async () => {
        try {
          return attempts.some(isWanted)
            ? await this.#check(user, password, digest)
            : undefined;
        } finally {
          this.#pending.delete(key);
        }
      },
    );
    if (verdict) this.#pending.set(key, { verdict, attempts });
    return await verdict;
  }

  /** Keyed, so that what is remembered is of no use without this process's memory. */
  async #digest(
    username: Uint8Array,
    password: Uint8Array,
  ): Promise<Uint8Array> {
    this.#key ??= digestKey();
    const login = new Uint8Array(1 + username.length + password.length);
    login[0] = username.length;
    login.set(username, 1);
    login.set(password, 1 + username.length);
    return new Uint8Array(
      await crypto.subtle.sign("HMAC", await this.#key, login),
    );
  }

  #remembers(user: User, digest: Uint8Array): boolean {
    return sameOctets(user.digest, digest) && this.#now() < user.until;
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
    user.until = this.#now() + this.#remember;
    return true;
  }
}

function digestKey(): Promise<CryptoKey> {
  const octets = crypto.getRandomValues(new Uint8Array(32));
  const hmac = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", octets, hmac, false, ["sign"]);
}

function isWanted({ isWanted }: LoginAttempt): boolean {
  return isWanted?.() ?? true;
}

function userOf(hash: PasswordHash): User {
  return { hash, digest: new Uint8Array(32), until: -Infinity };
}

/** What is wrong in a users file. */
export interface UsersProblem {
  /** Counts from 1; `undefined` when it is about the whole. */
  readonly line?: number;
  /** Why; never what stands there. */
  readonly reason: string;
}

/** All that is wrong in a users file. */
export class UsersError extends Error {
  /** Always `"UsersError"`. */
  override readonly name = "UsersError";
  /** At least one. */
  readonly problems: readonly UsersProblem[];

  /** Makes an error of these. */
  constructor(problems: readonly UsersProblem[]) {
    super(problems.map(describe).join("; "));
    this.problems = problems;
  }
}

function describe({ line, reason }: UsersProblem): string {
  return line === undefined ? reason : `line ${line}: ${reason}`;
}

/**
 * Reads the text of a users file: on each line a name, a colon and the hash of
 * a password as {@linkcode hashPassword} makes it. Names may contain colons, but
 * begin neither with `#` nor white space nor end with it. Lines that are blank
 * or begin with `#` count for nothing.
 *
 * @throws {UsersError} with all that is wrong, by line; what stands there is not
 * shown, as it may be a password.
 *
 * @example
 * ```ts
 * import { hashPassword, userPass } from "@x/socks5/server";
 *
 * const text = `alice:${await hashPassword("correct horse")}\n`;
 * const auth = [userPass(parseUsers(text))];
 * ```
 */
export function parseUsers(text: string, options?: UsersOptions): Users {
  const hashes = new Map<string, string>();
  const lineOf = new Map<string, number>();
  const problems: UsersProblem[] = [];
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  for (const [i, content] of lines.entries()) {
    if (/^\s*(#|$)/.test(content)) continue;
    const line = i + 1;
    const { name, hash, problem } = parseLine(content.trimEnd());
    const other = lineOf.get(name);
    const reason = problem ??
      (other && `the name stands in line ${other} already`);
    if (reason) problems.push({ line, reason });
    else hashes.set(name, hash);
    lineOf.set(name, other ?? line);
  }
  if (problems.length > 0) throw new UsersError(problems);
  if (hashes.size > 0) return new Users(hashes, options);
  throw new UsersError([{ reason: "there is no user" }]);
}

function parseLine(
  line: string,
): { name: string; hash: string; problem?: string } {
  const end = line.lastIndexOf(":");
  if (end < 0) return { name: "", hash: "", problem: "not NAME:HASH" };
  const name = line.slice(0, end);
  const hash = line.slice(end + 1);
  return { name, hash, problem: problemOfName(name) ?? problemOfHash(hash) };
}

function problemOfName(name: string): string | undefined {
  const { length } = encode(name);
  if (length < 1 || length > 255) return "a user name has 1 to 255 octets";
  if (name !== name.trim()) return "white space around the name";
  if (name.includes("\uFFFD")) return "the name is not UTF-8";
  return undefined;
}

function problemOfHash(hash: string): string | undefined {
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

/** Octets as a key of a map. */
function keyOf(octets: Uint8Array): string {
  return String.fromCharCode(...octets);
}

/**
 * Hashing keeps a processor core busy. On small machines one is left for
 * everything else; and of the four threads that Node.js has for such work, name
 * look-ups and the digests above need some as well.
 */
function hashingAtOnce(): number {
  const { navigator } = globalThis as {
    navigator?: { hardwareConcurrency?: number };
  };
  return (navigator?.hardwareConcurrency ?? 1) < 4 ? 1 : 2;
}
