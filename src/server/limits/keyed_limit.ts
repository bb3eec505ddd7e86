/**
 * Counts what each of many has, up to a limit.
 *
 * @module
 */

/** Places that are taken and given back; whether there is one more may take asking. */
export interface KeyedLimit {
  /** How many each key may have. */
  set limit(limit: number);
  /** Takes one for `key`, if it may have one more. */
  acquire(key: string): boolean | Promise<boolean>;
  /** Gives back one that was taken. */
  release(key: string): void;
}

/** How many of something each key may have at the same time. Keys that have none take no memory. */
export class LocalKeyedLimit implements KeyedLimit {
  /** How many; may be changed, and takes nothing away from who has more then. */
  limit: number;
  readonly #taken = new Map<string, number>();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** How many keys have some. */
  get size(): number {
    return this.#taken.size;
  }

  /** How many `key` has. */
  countOf(key: string): number {
    return this.#taken.get(key) ?? 0;
  }

  /** Whether `key` may have one more. */
  hasRoom(key: string): boolean {
    return this.countOf(key) < this.limit;
  }

  /** Takes one for `key`, if it may have one more. */
  acquire(key: string): boolean {
    const taken = this.countOf(key);
    if (taken >= this.limit) return false;
    this.#taken.set(key, taken + 1);
    return true;
  }

  /** Gives back one that was taken. */
  release(key: string): void {
    this.add(key, -1);
  }

  /** Takes so many, whatever the limit; a negative number gives back. */
  add(key: string, count: number): void {
    const left = this.countOf(key) + count;
    if (left > 0) this.#taken.set(key, left);
    else this.#taken.delete(key);
  }

  /** What is taken, by key. */
  entries(): Iterable<[key: string, count: number]> {
    return this.#taken.entries();
  }
}
