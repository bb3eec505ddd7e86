/**
 * A store for shared limits, as a user of the library would write one.
 *
 * @module
 */

import type {
  LimitRequest,
  Limits,
  LimitSlot,
  PassRequest,
  SharedLimitsStore,
} from "../../src/server/mod.ts";

/** What {@linkcode SharedLimitsStore.acquire} returns. */
export type Granted = keyof Limits | null;

/** Counts in memory and answers later, as a store on another machine does. */
export class CountingStore implements SharedLimitsStore {
  /** How many slots are held, by limit and key; those with none are missing. */
  readonly counts: Map<string, number> = new Map();
  /** All requests for slots and rates. */
  readonly requests: LimitRequest[] = [];
  /** Replaces the answers of {@linkcode acquire}. */
  answer: (grant: () => Granted) => Promise<Granted> | Granted = grantAtOnce;
  /** Replaces what happens after slots are released. */
  released: () => void | Promise<void> = () => {};
  /** Replaces what happens before bytes pass. */
  passed: (request: PassRequest) => void | Promise<void> = () => {};
  /** The tickets that were cancelled. */
  readonly cancelled: number[] = [];

  async acquire(requests: readonly LimitRequest[]): Promise<Granted> {
    await undefined;
    this.requests.push(...requests);
    return await this.answer(() => this.#grant(requests));
  }

  release(slot: LimitSlot): void | Promise<void> {
    this.#add(slot, -1);
    return this.released();
  }

  forceAcquire(slot: LimitSlot, count: number): void {
    this.#add(slot, count);
  }

  pass(request: PassRequest): void | Promise<void> {
    return this.passed(request);
  }

  cancel(ticket: number): void {
    this.cancelled.push(ticket);
  }

  #grant(requests: readonly LimitRequest[]): Granted {
    const slots = requests.filter((it) => "max" in it);
    const full = slots.find((it) => this.#countOf(it) >= it.max);
    if (full) return full.limit;
    for (const slot of slots) this.#add(slot, 1);
    return null;
  }

  #countOf(slot: LimitSlot): number {
    return this.counts.get(idOf(slot)) ?? 0;
  }

  #add(slot: LimitSlot, more: number): void {
    const count = this.#countOf(slot) + more;
    if (count === 0) this.counts.delete(idOf(slot));
    else this.counts.set(idOf(slot), count);
  }
}

/** The usual answer. */
export function grantAtOnce(grant: () => Granted): Granted {
  return grant();
}

function idOf({ limit, key }: LimitSlot): string {
  return `${limit} ${key}`;
}
