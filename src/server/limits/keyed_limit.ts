/**
 * Counts the slots of each of many keys, up to a limit.
 *
 * @module
 */

import { EVERYONE } from "./limit_table.ts";

/**
 * Slots that are acquired and released by key. Acquiring one may require asking another
 * process.
 */
export interface KeyedLimit {
  /** How many slots each key may have. */
  set limit(limit: number);
  /** The limit of a key that has one of its own; `undefined` for any other. */
  limitOf: ((key: string) => number | undefined) | undefined;
  /** Acquires a slot if `key` may have one more; returns whether it did. */
  acquire(key: string): boolean | Promise<boolean>;
  /** Releases a slot that was acquired. */
  release(key: string): void;
}

/** A count for each key. Keys with a count of 0 take no memory. */
export class KeyedCount {
  /** Not in the map, which would take half of the time of an ordinary admission. */
  #everyone = 0;
  readonly #counts = new Map<string, number>();

  /** How many keys have a count. */
  get size(): number {
    return this.#counts.size + (this.#everyone > 0 ? 1 : 0);
  }

  /** The count of `key`. */
  countOf(key: string): number {
    return key === EVERYONE ? this.#everyone : this.#counts.get(key) ?? 0;
  }

  /** Sets the count of `key`; less than 0 means 0. */
  set(key: string, count: number): void {
    if (key === EVERYONE) this.#everyone = Math.max(count, 0);
    else if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }

  /** Adds to the count of `key`, or subtracts from it. */
  add(key: string, more: number): void {
    this.set(key, this.countOf(key) + more);
  }

  /** All counts. */
  entries(): [key: string, count: number][] {
    const entries = [...this.#counts];
    if (this.#everyone > 0) entries.push([EVERYONE, this.#everyone]);
    return entries;
  }
}

/** A limit that is counted in this process. Keys without a slot take no memory. */
export class LocalKeyedLimit extends KeyedCount implements KeyedLimit {
  /** How many slots each key may have. Lowering it releases no slot. */
  limit: number;
  limitOf: ((key: string) => number | undefined) | undefined = undefined;

  constructor(limit: number) {
    super();
    this.limit = limit;
  }

  /** Whether `key` may have one more. */
  hasRoom(key: string): boolean {
    return this.countOf(key) < this.limit;
  }

  acquire(key: string): boolean {
    const count = this.countOf(key);
    if (count >= (this.limitOf?.(key) ?? this.limit)) return false;
    this.set(key, count + 1);
    return true;
  }

  release(key: string): void {
    this.add(key, -1);
  }
}
