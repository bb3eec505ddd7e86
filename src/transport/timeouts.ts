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
  before: Entry | undefined;
  behind: Entry | undefined;

  constructor(
    readonly list: TimeoutList,
    readonly onTimeout: () => void,
    readonly at: number,
  ) {}

  cancel(): void {
    this.list.remove(this);
  }
}

/**
 * Entries in the order they end. Linked by hand: a `Set` whose members come and
 * go leaves chains of outgrown tables behind, which keep dead sessions alive
 * until the next full garbage collection.
 */
class TimeoutList {
  #first: Entry | undefined;
  #last: Entry | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly ms: number) {}

  add(onTimeout: () => void): Entry {
    const entry = new Entry(this, onTimeout, performance.now() + this.ms);
    entry.before = this.#last;
    if (this.#last) this.#last.behind = entry;
    else this.#first = entry;
    this.#last = entry;
    this.#timer ??= setTimeout(this.#fire, this.ms);
    return entry;
  }

  /** Also of an entry that is not there any more. */
  remove(entry: Entry): void {
    const { before, behind } = entry;
    if (before) before.behind = behind;
    else if (this.#first === entry) this.#first = behind;
    else return;
    if (behind) behind.before = before;
    else this.#last = before;
    entry.before = entry.behind = undefined;
    if (!this.#first) this.#stop();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (lists.get(this.ms) === this) lists.delete(this.ms);
  }

  readonly #fire = (): void => {
    // The timer stays where it is meanwhile: one that is added here may not start it, for others end before.
    const now = performance.now();
    for (
      let entry = this.#first;
      entry && entry.at <= now + 1;
      entry = this.#first
    ) {
      this.remove(entry);
      entry.onTimeout();
    }
    this.#timer = this.#first && setTimeout(this.#fire, this.#first.at - now);
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
