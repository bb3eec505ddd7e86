/**
 * Failed logins, counted in Redis for all nodes.
 *
 * @module
 */

import {
  delayOfFailure,
  isAddress,
  type LockedClient,
  Lockout,
  type LockoutOptions,
  type LoginGuard,
} from "../server/auth/lockout.ts";
import { clientKey } from "../server/client_key.ts";
import type { Clock } from "../transport/clock.ts";
import { type Link, RedisAway } from "./link.ts";
import { type KeyNames, originalKey, safeKey } from "./names.ts";
import type { Script } from "./script.ts";
import { FAILED, FENCE, LOCKED, UNLOCK } from "./scripts.ts";
import type { LockoutNews, SlotCounter } from "./slot_counter.ts";

/** The maximum number of clients of each kind that are remembered. */
const MAX_CLIENTS = 10_000;
/** How many failures of one client are kept for Redis. */
const MAX_MISSED = 100;
/** Of how many clients Redis is told at the same time: one by one, it could take minutes. */
const TOLD_TOGETHER = 100;
/**
 * For how many milliseconds a client whose login was correct is not asked about again. If it is
 * locked out meanwhile, the answer to the login that has failed waits for the end of it, so that
 * no node accepts the client after that answer.
 */
const TRUST = 500;

/** The parts that a {@linkcode SharedLockout} needs. */
export interface SharedLockoutOptions extends LockoutOptions {
  readonly link: Link;
  readonly names: KeyNames;
  /** Asks about logins. */
  readonly slots: Pick<SlotCounter, "checkLogin">;
  /** Whether logins are refused while Redis is away. */
  readonly strict: boolean;
  readonly clock: Clock;
}

/** A failed login of which Redis does not know, or may not know. */
interface Failure {
  /** By the clock of this node. */
  readonly at: number;
  /** The number of the call that may have counted it. */
  number: number;
}

/** Counts failed logins; while Redis is away, only those on this node. */
export class SharedLockout implements LoginGuard {
  readonly #options: SharedLockoutOptions;
  readonly #keys: readonly string[];
  readonly #failedLogins: number;
  readonly #lockout: number;
  readonly #local: Lockout;
  /** Clients that are locked out, and until when by the clock of this node. */
  readonly #locked = new Map<string, number>();
  /** Addresses without failures, and until when that is believed. */
  readonly #trusted = new Map<string, number>();
  /** What Redis has missed: failed logins, and clients that were unlocked, `""` for all. */
  readonly #missed = new Map<string, Failure[]>();
  readonly #unlocked = new Set<string>();
  /** The key of the number of the last call that has counted a failure of this node. */
  readonly #reported: string;
  #number = 0;
  /** The number of the first call to settle them since one was answered. */
  #fence = Infinity;
  /** The last end of a lockout that was learnt, by the clock of Redis. */
  #since = "";
  #unlocks = "";

  constructor(options: SharedLockoutOptions) {
    const { names, failedLogins = 10, lockout = 300_000 } = options;
    this.#options = options;
    this.#keys = [names.failing, names.failures, names.locked];
    this.#reported = names.reported(crypto.randomUUID());
    this.#failedLogins = failedLogins;
    this.#lockout = lockout;
    this.#local = new Lockout(options);
  }

  /** Whether both lock out after the same number of failures, for the same time. */
  isLike(other: SharedLockout): boolean {
    return this.#failedLogins === other.#failedLogins &&
      this.#lockout === other.#lockout;
  }

  /** The position from which {@linkcode learn} needs lockouts. */
  get since(): string {
    return this.#since;
  }

  /** Takes over lockouts of other nodes. */
  learn({ now, locked, unlocks }: LockoutNews): void {
    if (this.#since === "" || unlocks !== this.#unlocks) {
      // The next heartbeat lists all lockouts that are left.
      this.#locked.clear();
      this.#unlocks = unlocks;
      this.#since = String(now);
      return;
    }
    for (let i = 0; i < locked.length; i += 2) {
      this.#since = locked[i + 1];
      this.#lock(locked[i], Number(locked[i + 1]) - now);
    }
  }

  /** Tells Redis what it has missed. */
  async report(): Promise<void> {
    const { link, names } = this.#options;
    const keys = [...this.#keys, names.unlocks];
    for (const key of this.#unlocked) {
      await link.run(UNLOCK, keys, key === "" ? [] : [key]);
      this.#unlocked.delete(key);
    }
    if (this.#missed.size === 0) return;
    await this.#settle();
    // Those that come meanwhile are told with the next heartbeat: they may never end.
    const missed = [...this.#missed];
    // The first one alone: once Redis knows the script, no call overtakes another one.
    for (let count = 1; missed.length > 0; count = TOLD_TOGETHER) {
      const some = missed.splice(0, count);
      await Promise.all(some.map(([key, it]) => this.#tell(key, it)));
    }
  }

  /** Tells Redis which logins of a client have failed. */
  async #tell(key: string, failures: Failure[]): Promise<void> {
    const { link } = this.#options;
    while (failures.length > 0) {
      const call = this.#counting(key, failures[0]);
      this.#counted(key, await link.run(...call));
      failures.shift();
    }
    // Not those that were counted after it was unlocked.
    if (this.#missed.get(key) !== failures) return;
    this.#missed.delete(key);
    this.#local.unlock(originalKey(key));
  }

  /** Finds out which calls were counted, as others cannot be later, and forgets their failures. */
  async #settle(): Promise<void> {
    const { link } = this.#options;
    const fence = ++this.#number;
    this.#fence = Math.min(this.#fence, fence);
    const reply = await link.run(FENCE, [this.#reported], [String(fence)]);
    const last = Number(reply);
    // After one of them that was not answered, it is not known: better twice than never.
    const isKnown = last < this.#fence;
    for (const failures of this.#missed.values()) {
      for (let i = failures.length - 1; i >= 0; i--) {
        if (isKnown && failures[i].number <= last) failures.splice(i, 1);
        else failures[i].number = Infinity;
      }
    }
    this.#fence = Infinity;
  }

  /** The clients that are locked out on any node, or that this node knows of. */
  async locked(): Promise<LockedClient[]> {
    const reply = await this.#run(LOCKED, [this.#keys[2]], []);
    if (reply === undefined) return this.#lockedHere();
    const [now, found] = reply as [number, string[]];
    const clients: LockedClient[] = [];
    for (let i = 0; i < found.length; i += 2) {
      clients.push(this.#describe(found[i], Number(found[i + 1]) - now));
    }
    return clients;
  }

  #lockedHere(): LockedClient[] {
    const now = this.#options.clock.now();
    const here = this.#local.locked();
    const known = new Set(here.map(({ client }) => client));
    for (const [key, until] of this.#locked) {
      if (until <= now || known.has(originalKey(key))) continue;
      here.push(this.#describe(key, until - now));
    }
    return here.sort((a, b) => b.until - a.until).slice(0, MAX_CLIENTS);
  }

  #describe(key: string, left: number): LockedClient {
    return {
      client: originalKey(key),
      failed: this.#failedLogins,
      until: Date.now() + Math.round(left),
    };
  }

  /** Forgets the failed logins of a client, or those of all; see {@linkcode Lockout.unlock}. */
  async unlock(client?: string): Promise<number> {
    const key = client === undefined ? "" : keyOf(client);
    const keys = [...this.#keys, this.#options.names.unlocks];
    const reply = await this.#run(UNLOCK, keys, key === "" ? [] : [key]);
    const here = this.#lockedHere().filter((it) =>
      key === "" || safeKey(it.client) === key
    );
    this.#local.unlock(client);
    if (key === "") {
      for (const map of [this.#locked, this.#missed, this.#unlocked]) {
        map.clear();
      }
    } else {
      this.#locked.delete(key);
      this.#missed.delete(key);
    }
    if (reply !== undefined) return reply as number;
    if (this.#unlocked.size < MAX_CLIENTS) this.#unlocked.add(key);
    return here.length;
  }

  /** Asks Redis only about a client that was locked out: it may have been unlocked. */
  isLocked(client: string): boolean | Promise<boolean> {
    if (this.#local.isLocked(client)) return true;
    if (this.#locked.size === 0) return false;
    const key = keyOf(client);
    if (!this.#isLocked(key)) return false;
    return this.#options.link.isUp ? this.#isStillLocked(key) : true;
  }

  async #isStillLocked(client: string): Promise<boolean> {
    const { slots } = this.#options;
    const question = { kind: "login", client, trust: undefined } as const;
    const locked = await slots.checkLogin(question);
    if (locked === undefined) return this.#isLocked(client);
    if (locked === 0) this.#locked.delete(client);
    return locked > 0;
  }

  async failed(client: string): Promise<number> {
    if (this.#lockout === 0) return 0;
    // Text that stands for many clients has a meaning on this machine only.
    if (!isAddress(client)) return this.#local.failed(client);
    const key = keyOf(client);
    this.#trusted.delete(client);
    const { clock, link } = this.#options;
    const failure = { at: clock.now(), number: 0 };
    const wasUp = link.isUp;
    const reply = await this.#run(...this.#counting(key, failure));
    if (reply !== undefined) return this.#counted(key, reply);
    if (!wasUp) failure.number = Infinity; // the call was not made
    const failures = this.#missed.get(key) ?? [];
    if (failures.length < MAX_MISSED) failures.push(failure);
    keep(this.#missed, key, failures);
    return this.#local.failed(client);
  }

  /** The script that counts a failure, and its arguments. */
  #counting(key: string, failure: Failure) {
    const { clock, names } = this.#options;
    const ago = Math.round(clock.now() - failure.at);
    const number = ++this.#number;
    failure.number = number;
    const args = [this.#failedLogins, this.#lockout, MAX_CLIENTS, ago, number];
    const keys = [...this.#keys, names.trusted(key), this.#reported];
    return [FAILED, keys, [key, ...args.map(String)]] as const;
  }

  /** Takes over the reply to it. Returns the delay of the answer. */
  #counted(key: string, reply: unknown): number {
    const [failures, locked, trust] = reply as readonly number[];
    if (locked === 0) return delayOfFailure(failures);
    this.#lock(key, locked);
    return trust;
  }

  async succeeded(client: string): Promise<boolean> {
    const { clock, slots, strict } = this.#options;
    const isLocked = this.isLocked(client);
    if (isLocked !== false && await isLocked) return false;
    const now = clock.now();
    if ((this.#trusted.get(client) ?? 0) > now) return true;
    if (!isAddress(client)) return this.#local.succeeded(client);
    const key = keyOf(client);
    const question = { kind: "login", client: key, trust: TRUST } as const;
    const locked = await slots.checkLogin(question);
    if (locked === undefined) {
      if (strict) throw new RedisAway("Redis does not answer");
      return this.#succeededHere(client, key);
    }
    this.#local.succeeded(client);
    if (locked > 0) this.#lock(key, locked);
    else remember(this.#trusted, client, now + TRUST, now);
    return locked === 0;
  }

  #succeededHere(client: string, key: string): boolean {
    if (!this.#local.succeeded(client)) return false;
    this.#missed.delete(key);
    return true;
  }

  /** Returns `undefined` if Redis is away, which is an error if it is strict. */
  async #run(
    script: Script,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown> {
    const { link, strict } = this.#options;
    try {
      if (link.isUp) return await link.run(script, keys, args);
    } catch (error) {
      if (strict || !(error instanceof RedisAway)) throw error;
    }
    if (strict) throw new RedisAway("Redis does not answer");
    return undefined;
  }

  #isLocked(key: string): boolean {
    return (this.#locked.get(key) ?? 0) > this.#options.clock.now();
  }

  #lock(key: string, ms: number): void {
    const now = this.#options.clock.now();
    remember(this.#locked, key, now + ms, now);
  }
}

function keyOf(client: string): string {
  return safeKey(clientKey(client));
}

/** Keeps the map small: it is in the order in which its entries expire. */
function remember(
  map: Map<string, number>,
  key: string,
  until: number,
  now: number,
): void {
  keep(map, key, until);
  for (const [oldest, end] of map) {
    if (end > now) break;
    map.delete(oldest);
  }
}

/** Forgets the oldest entry if there are too many. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MAX_CLIENTS) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}
