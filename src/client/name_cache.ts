/**
 * Names that are resolved here, each for many datagrams.
 *
 * @module
 */

/** Milliseconds that an answer is good for. */
const LIFETIME = 30_000;
/** Names that are kept. */
const MOST = 256;

interface Entry {
  readonly found: Promise<string>;
  readonly until: number;
}

/** Asks once for each name and a while; failures are asked for again. */
export class NameCache {
  readonly #lookup: (hostname: string) => Promise<string>;
  readonly #lifetime: number;
  readonly #entries = new Map<string, Entry>();

  constructor(
    lookup: (hostname: string) => Promise<string>,
    lifetime = LIFETIME,
  ) {
    this.#lookup = lookup;
    this.#lifetime = lifetime;
  }

  /** The address of a name; rejects as `lookup` does. */
  get(hostname: string): Promise<string> {
    const entry = this.#entries.get(hostname);
    const now = performance.now();
    if (entry && now < entry.until) return entry.found;
    const found = this.#lookup(hostname);
    const fresh = { found, until: now + this.#lifetime };
    this.#entries.delete(hostname); // so that the oldest stand first
    this.#entries.set(hostname, fresh);
    found.catch(() => {
      if (this.#entries.get(hostname) === fresh) this.#entries.delete(hostname);
    });
    if (this.#entries.size > MOST) {
      const [oldest] = this.#entries.keys();
      this.#entries.delete(oldest);
    }
    return found;
  }
}
