/**
 * The limits of one server of which some are counted in a store of several machines.
 *
 * @module
 */

import type { LoginGuard } from "../auth/lockout.ts";
import { KeyedCount } from "../limits/keyed_limit.ts";
import type { LimitName } from "../limits/limit_table.ts";
import type {
  LimitRequest,
  LimitSlot,
  PassRequest,
  SharedLimitsStore,
} from "./store.ts";

/** The store of one server or worker, which releases everything when it is closed. */
export interface OneServersLimits extends SharedLimitsStore, LoginGuard {
  /** Releases everything that the server holds. */
  close(): void;
}

/** A store that counts for several machines. */
export type MachinesStore = SharedLimitsStore & LoginGuard;

/** Unique in this process, as the store of several machines needs it. */
let lastTicket = 0;

/**
 * Counts some limits, and failed logins, in a store of several machines, and the others in
 * this process. Keeps what the server holds in that store, so that everything can be
 * released if the server crashes.
 */
export class DividedLimits implements OneServersLimits {
  readonly #here: OneServersLimits;
  readonly #there: MachinesStore;
  readonly #names: ReadonlySet<LimitName>;
  readonly #held = new KeyedCount();
  readonly #slots = new Map<string, LimitSlot>();
  /** The tickets that the other store knows, by those of the server. */
  readonly #tickets = new Map<number, number>();
  #isClosed = false;

  /** `names` are the limits that are counted in the other store. */
  constructor(
    here: OneServersLimits,
    there: MachinesStore,
    names: readonly LimitName[],
  ) {
    this.#here = here;
    this.#there = there;
    this.#names = new Set(names);
  }

  async acquire(requests: readonly LimitRequest[]): Promise<LimitName | null> {
    const isThere = (it: LimitRequest) => this.#names.has(it.limit);
    const there = requests.filter(isThere);
    const here = requests.filter((it) => !isThere(it));
    const reached = here.length > 0 ? await this.#here.acquire(here) : null;
    if (reached !== null || there.length === 0) return reached;
    let answer: LimitName | null;
    try {
      answer = await this.#there.acquire(there);
    } catch (error) {
      this.#release(here);
      throw error;
    }
    if (answer !== null) this.#release(here);
    else for (const it of there) if ("max" in it) this.#took(it, 1);
    return answer;
  }

  release(slot: LimitSlot): void | Promise<void> {
    if (!this.#names.has(slot.limit)) return this.#here.release(slot);
    if (!this.#gave(slot)) return;
    return this.#there.release(slot);
  }

  async forceAcquire(slot: LimitSlot, count: number): Promise<void> {
    if (!this.#names.has(slot.limit)) {
      return await this.#here.forceAcquire(slot, count);
    }
    await this.#there.forceAcquire(slot, count);
    this.#took(slot, count);
  }

  async pass(request: PassRequest): Promise<void> {
    if (!this.#names.has("bytesPerSecondPerUser")) {
      return await this.#here.pass(request);
    }
    if (this.#isClosed) return;
    const ticket = ++lastTicket;
    this.#tickets.set(request.ticket, ticket);
    try {
      await this.#there.pass({ ...request, ticket });
    } finally {
      this.#tickets.delete(request.ticket);
    }
  }

  cancel(ticket: number): void | Promise<void> {
    if (!this.#names.has("bytesPerSecondPerUser")) {
      return this.#here.cancel(ticket);
    }
    const other = this.#tickets.get(ticket);
    if (other !== undefined) return this.#there.cancel(other);
  }

  isLocked(client: string): boolean | Promise<boolean> {
    return this.#there.isLocked(client);
  }

  failed(client: string): number | Promise<number> {
    return this.#there.failed(client);
  }

  succeeded(client: string): boolean | Promise<boolean> {
    return this.#there.succeeded(client);
  }

  close(): void {
    this.#isClosed = true;
    for (const ticket of [...this.#tickets.keys()]) {
      quietly(this.cancel(ticket));
    }
    for (const [id, count] of this.#held.entries()) {
      const slot = this.#slots.get(id)!;
      for (let i = 0; i < count; i++) quietly(this.release(slot));
    }
    this.#here.close();
  }

  /** Rates that were granted are not given back. */
  #release(requests: readonly LimitRequest[]): void {
    for (const it of requests) {
      if ("max" in it) quietly(this.#here.release(it));
    }
  }

  #took({ limit, key }: LimitSlot, count: number): void {
    const id = `${limit} ${key}`;
    this.#slots.set(id, { limit, key });
    this.#held.add(id, count);
    if (!this.#isClosed) return;
    // Granted after the server has crashed.
    for (let i = 0; i < count; i++) quietly(this.release({ limit, key }));
  }

  /** Returns whether the server holds one. */
  #gave({ limit, key }: LimitSlot): boolean {
    const id = `${limit} ${key}`;
    const count = this.#held.countOf(id);
    if (count === 0) return false;
    this.#held.add(id, -1);
    if (count === 1) this.#slots.delete(id);
    return true;
  }
}

/** The store of several machines reports its failures by itself. */
function quietly(done: void | Promise<void>): void {
  if (done instanceof Promise) done.catch(() => {});
}
