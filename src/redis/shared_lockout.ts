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
import { FAILED, LOCKED, SUCCEEDED, UNLOCK } from "./scripts.ts";
import type { LockoutNews } from "./slot_counter.ts";

/** The maximum number of clients of each kind that are remembered. */
const MAX_CLIENTS = 10_000;
/**
 * For how many milliseconds a client that has no failures is not asked about again. A
 * client that others lock out meanwhile can use a correct login that much longer.
 */
const TRUST = 1_000;

/** The parts that a {@linkcode SharedLockout} needs. */
export interface SharedLockoutOptions extends LockoutOptions {
  readonly link: Link;
  readonly names: KeyNames;
  /** Whether logins are refused while Redis is away. */
  readonly strict: boolean;
  readonly clock: Clock;
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
  /** Clients without failures, and until when that is believed. */
  readonly #trusted = new Map<string, number>();
  /** The last end of a lockout that was learnt, by the clock of Redis. */
  #since = "";
  #unlocks = "";

  constructor(options: SharedLockoutOptions) {
    const { names, failedLogins = 10, lockout = 300_000 } = options;
    this.#options = options;
    this.#keys = [names.failing, names.failures, names.locked];
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

  /** The clients that are locked out on any node. */
  async locked(): Promise<LockedClient[]> {
    const reply = await this.#run(LOCKED, [this.#keys[2]], []);
    if (reply === undefined) return this.#local.locked();
    const [now, found] = reply as [number, string[]];
    const clients: LockedClient[] = [];
    for (let i = 0; i < found.length; i += 2) {
      const left = Number(found[i + 1]) - now;
      clients.push({
        client: originalKey(found[i]),
        failed: this.#failedLogins,
        until: Date.now() + left,
      });
    }
    return clients;
  }

  /** Forgets the failed logins of a client, or those of all; see {@linkcode Lockout.unlock}. */
  async unlock(client?: string): Promise<number> {
    const here = this.#local.unlock(client);
    const keys = [...this.#keys, this.#options.names.unlocks];
    const args = client === undefined ? [] : [keyOf(client)];
    const reply = await this.#run(UNLOCK, keys, args);
    if (client === undefined) this.#locked.clear();
    else this.#locked.delete(keyOf(client));
    return reply === undefined ? here : reply as number;
  }

  isLocked(client: string): boolean {
    if (this.#local.isLocked(client)) return true;
    return this.#locked.size > 0 && this.#isLocked(keyOf(client));
  }

  async failed(client: string): Promise<number> {
    if (this.#lockout === 0) return 0;
    // Text that stands for many clients has a meaning on this machine only.
    if (!isAddress(client)) return this.#local.failed(client);
    const key = keyOf(client);
    this.#trusted.delete(key);
    const [failed, lockout, most] = [
      this.#failedLogins,
      this.#lockout,
      MAX_CLIENTS,
    ].map(String);
    const reply = await this.#run(FAILED, this.#keys, [
      key,
      failed,
      lockout,
      most,
    ]);
    if (reply === undefined) return this.#local.failed(client);
    const [count, locked] = reply as [number, number];
    if (locked > 0) this.#lock(key, locked);
    return locked > 0 ? 0 : delayOfFailure(count);
  }

  async succeeded(client: string): Promise<boolean> {
    if (this.isLocked(client)) return false;
    if (!isAddress(client)) return this.#local.succeeded(client);
    const key = keyOf(client);
    const now = this.#options.clock.now();
    if ((this.#trusted.get(key) ?? 0) > now) return true;
    const reply = await this.#run(SUCCEEDED, this.#keys, [key]);
    if (reply === undefined) return this.#local.succeeded(client);
    this.#local.succeeded(client);
    const locked = reply as number;
    if (locked > 0) this.#lock(key, locked);
    else remember(this.#trusted, key, now + TRUST, now);
    return locked === 0;
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
    this.#trusted.delete(key);
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
  map.delete(key);
  map.set(key, until);
  for (const [oldest, end] of map) {
    if (map.size <= MAX_CLIENTS && end > now) break;
    map.delete(oldest);
  }
}
