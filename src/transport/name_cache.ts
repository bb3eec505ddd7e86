/**
 * Names that are asked for more often than their answers change.
 *
 * @module
 */

interface Entry<T> {
  readonly found: Promise<T>;
  /** When it is too old; not while there is no answer. */
  until: number;
}

/** Bounds of a {@linkcode NameCache}. */
export interface NameCacheOptions {
  /** Milliseconds that an answer is good for. */
  readonly lifetime: number;
  /** Names that are kept. @default {256} */
  readonly most?: number;
}

/** Asks once for each name and a while, however many want to know; failures are asked for again. */
export class NameCache<T> {
  readonly #lookup: (hostname: string) => Promise<T>;
  readonly #lifetime: number;
  readonly #most: number;
  readonly #entries = new Map<string, Entry<T>>();

  constructor(
    lookup: (hostname: string) => Promise<T>,
    { lifetime, most = 256 }: NameCacheOptions,
  ) {
    this.#lookup = lookup;
    this.#lifetime = lifetime;
    this.#most = most;
  }

  /** The answer for a name; rejects as `lookup` does. */
  get(hostname: string): Promise<T> {
    const entry = this.#entries.get(hostname);
    if (entry && performance.now() < entry.until) return entry.found;
    const found = this.#lookup(hostname);
    const fresh = { found, until: Infinity };
    this.#entries.delete(hostname); // so that the oldest stand first
    this.#entries.set(hostname, fresh);
    found.then(() => fresh.until = performance.now() + this.#lifetime, () => {
      if (this.#entries.get(hostname) === fresh) this.#entries.delete(hostname);
    });
    if (this.#entries.size > this.#most) {
      const [oldest] = this.#entries.keys();
      this.#entries.delete(oldest);
    }
    return found;
  }
}
