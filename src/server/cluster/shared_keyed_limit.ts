/**
 * A counted limit that several servers share.
 *
 * @module
 */

import type { KeyedLimit } from "../limits/keyed_limit.ts";
import type { CountedLimit } from "../limits/limit_table.ts";
import { NOT_SHARED } from "../limits/sharing.ts";
import type { CheckedStore } from "./checked_store.ts";
import type { LimitSlot, SlotRequest } from "./store.ts";

/** Limits with fewer slots per server are counted only in the store. */
const FEW = 64;

/**
 * How many slots of each key a server acquires without asking the store. The shares of
 * all servers make up an eighth of the limit; a small limit has no shares.
 *
 * The limit is therefore never exceeded, a server does not ask for each client while
 * little of the limit is used, and small limits are exact. With a large limit, a server
 * cannot use the unused shares of the others. An unknown number of servers has no shares,
 * and a limit that is not shared is a share as a whole.
 */
export function serverShare(limit: number, servers: number): number {
  if (limit === Infinity || servers === NOT_SHARED) return limit;
  return limit < FEW * servers ? 0 : Math.floor(limit / (8 * servers));
}

/** How many slots of each key are left for all servers to ask for. */
export function commonRest(limit: number, servers: number): number {
  if (limit === Infinity) return Infinity;
  const share = serverShare(limit, servers);
  if (servers === NOT_SHARED || share === 0) return limit - share;
  return limit - servers * share;
}

interface Held {
  /** Slots of the server's share. */
  own: number;
  /** Slots of the common rest, which the store counts. */
  common: number;
}

const NONE: Held = { own: 0, common: 0 };

/** The slots of one server. */
export class SharedKeyedLimit implements KeyedLimit {
  readonly #name: CountedLimit;
  readonly #store: CheckedStore;
  readonly #servers: number;
  readonly #held = new Map<string, Held>();
  #share = 0;
  #rest = 0;
  limitOf: ((key: string) => number | undefined) | undefined = undefined;

  constructor(
    name: CountedLimit,
    limit: number,
    store: CheckedStore,
    servers: number,
  ) {
    this.#name = name;
    this.#store = store;
    this.#servers = servers;
    this.limit = limit;
  }

  /** How many keys have slots. */
  get size(): number {
    return this.#held.size;
  }

  /** How many slots `key` has on this server. */
  countOf(key: string): number {
    const { own, common } = this.#held.get(key) ?? NONE;
    return own + common;
  }

  /**
   * How many slots each key may have on all servers. Slots in excess of a reduced share
   * become common ones.
   */
  set limit(limit: number) {
    this.#share = serverShare(limit, this.#servers);
    this.#rest = commonRest(limit, this.#servers);
    if (!this.mayAsk) return;
    for (const [key, held] of this.#held) {
      this.#makeCommon(key, held, held.own - this.#share);
    }
  }

  /** Turns slots of the server's share into common ones. */
  #makeCommon(key: string, held: Held, count: number): void {
    if (count <= 0) return;
    held.own -= count;
    held.common += count;
    const uncount = () => this.#uncount(key, count);
    this.#store.forceAcquire(this.#slot(key), count, uncount);
  }

  /** Whether there are slots beyond the server's share. */
  get mayAsk(): boolean {
    return this.#servers !== NOT_SHARED;
  }

  /** Acquires a slot of the server's share, if there is one. */
  acquireOwn(key: string): boolean {
    if (this.#share === 0) return false;
    const held = this.#of(key);
    if (held.own >= this.#share) return false;
    held.own++;
    return true;
  }

  /**
   * The request for a slot of the common rest; {@linkcode granted} is called when
   * it is granted.
   */
  request(key: string): SlotRequest {
    return { ...this.#slot(key), max: this.#rest };
  }

  /** Takes over a slot of the common rest. */
  granted(key: string): void {
    this.#of(key).common++;
  }

  acquire(key: string): boolean | Promise<boolean> {
    const limit = this.limitOf?.(key);
    if (limit !== undefined) return this.#acquireUpTo(limit, key);
    return this.acquireOwn(key) || this.mayAsk && this.#ask(this.request(key));
  }

  /** Of a limit of its own, a key has no share: the store counts all of its slots. */
  #acquireUpTo(max: number, key: string): boolean | Promise<boolean> {
    if (max === Infinity || !this.mayAsk) {
      if (this.countOf(key) >= max) return false;
      this.#of(key).own++;
      return true;
    }
    const held = this.#held.get(key);
    if (held) this.#makeCommon(key, held, held.own);
    return this.#ask({ ...this.#slot(key), max });
  }

  release(key: string): void {
    const held = this.#of(key);
    if (held.common > 0) {
      held.common--;
      this.#store.release(this.#slot(key));
    } else held.own--;
    if (held.own + held.common === 0) this.#held.delete(key);
  }

  /**
   * Takes back common slots that the store failed to count. Releasing them would
   * lower the count of the slots of others.
   */
  #uncount(key: string, count: number): void {
    const held = this.#held.get(key);
    if (!held) return;
    const uncounted = Math.min(held.common, count);
    held.common -= uncounted;
    held.own += uncounted;
  }

  #ask(request: SlotRequest): boolean | Promise<boolean> {
    const take = (reached: string | null) => {
      if (reached === null) this.granted(request.key);
      return reached === null;
    };
    const reached = this.#store.acquire([request]);
    return reached === null ? take(null) : reached.then(take);
  }

  #slot(key: string): LimitSlot {
    return { limit: this.#name, key };
  }

  #of(key: string): Held {
    let held = this.#held.get(key);
    if (!held) this.#held.set(key, held = { own: 0, common: 0 });
    return held;
  }
}
