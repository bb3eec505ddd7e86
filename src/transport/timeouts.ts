/**
 * Many timeouts of few durations, at the price of one runtime timer for each
 * duration: whatever waits equally long ends in the order it began.
 *
 * @module
 */

/** One waiting timeout; see {@linkcode startTimeout}. */
export interface Timeout {
  /** Takes the timeout back; harmless when it has fired. */
  cancel(): void;
}

class Entry implements Timeout {
  constructor(
    readonly list: TimeoutList,
    readonly onTimeout: () => void,
    readonly at: number,
  ) {}

  cancel(): void {
    this.list.remove(this);
  }
}

class TimeoutList {
  readonly #entries = new Set<Entry>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly ms: number) {}

  add(onTimeout: () => void): Entry {
    const entry = new Entry(this, onTimeout, performance.now() + this.ms);
    this.#entries.add(entry);
    this.#timer ??= setTimeout(this.#fire, this.ms);
    return entry;
  }

  remove(entry: Entry): void {
    if (!this.#entries.delete(entry) || this.#entries.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    lists.delete(this.ms);
  }

  readonly #fire = (): void => {
    const now = performance.now();
    const due: Entry[] = [];
    let next: Entry | undefined;
    for (const entry of this.#entries) {
      if (entry.at > now + 1) {
        next = entry;
        break;
      }
      due.push(entry);
    }
    this.#timer = next && setTimeout(this.#fire, next.at - now);
    for (const entry of due) {
      if (!this.#entries.delete(entry)) continue; // taken back by one before it
      entry.onTimeout();
    }
    if (this.#entries.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (lists.get(this.ms) === this) lists.delete(this.ms);
  };
}

const lists = new Map<number, TimeoutList>();
const NEVER: Timeout = { cancel() {} };

/**
 * Calls `onTimeout` after `ms` milliseconds unless it is cancelled first;
 * 0 or `Infinity` means never. `onTimeout` must not throw.
 *
 * @example
 * ```ts
 * const timeout = startTimeout(10_000, () => console.log("too slow"));
 * timeout.cancel();
 * ```
 */
export function startTimeout(ms: number, onTimeout: () => void): Timeout {
  if (!(ms > 0) || ms === Infinity) return NEVER;
  let list = lists.get(ms);
  if (!list) lists.set(ms, list = new TimeoutList(ms));
  return list.add(onTimeout);
}
