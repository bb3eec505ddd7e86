/**
 * Many timeouts at the cost of one runtime timer. Timeouts of the same duration end in
 * the order in which they start, so one list per duration keeps them sorted.
 *
 * @module
 */

/** A timeout that has started. */
export interface Timeout {
  /** Cancels the timeout. Has no effect after it has fired. */
  cancel(): void;
}

/**
 * Calls `onTimeout` with `argument` after `ms` milliseconds, unless the timeout is
 * cancelled first; 0 and `Infinity` mean never. `onTimeout` must not throw.
 */
export type StartTimeout = <T = undefined>(
  ms: number,
  onTimeout: (argument: T) => void,
  argument?: T,
) => Timeout;

/** The clock and the timers that timeouts are built on. */
export interface RuntimeTimers {
  /** Returns the current time in milliseconds; never goes back. */
  now(): number;
  /** Calls `call` once after `ms` milliseconds, at most 2^31 - 1, and returns a handle. */
  setTimeout(call: () => void, ms: number): unknown;
  /** Cancels a timer. Must accept `undefined` and handles of timers that have fired. */
  clearTimeout(handle: unknown): void;
}

class Entry implements Timeout {
  readonly list: TimeoutList;
  readonly at: number;
  readonly onTimeout: (argument: unknown) => void;
  readonly argument: unknown;
  previous: Entry | undefined;
  next: Entry | undefined;

  constructor(
    list: TimeoutList,
    at: number,
    onTimeout: (argument: unknown) => void,
    argument: unknown,
  ) {
    this.list = list;
    this.at = at;
    this.onTimeout = onTimeout;
    this.argument = argument;
  }

  cancel(): void {
    const { list } = this;
    if (list.remove(this)) list.timeouts.removed();
  }
}

/**
 * The entries of one duration, in the order in which they end. This is a linked list: a
 * `Set` with many additions and deletions leaves chains of old tables, which keep dead
 * sessions in memory until the next full garbage collection.
 */
class TimeoutList {
  readonly timeouts: Timeouts;
  first: Entry | undefined;
  #last: Entry | undefined;

  constructor(timeouts: Timeouts) {
    this.timeouts = timeouts;
  }

  add(entry: Entry): void {
    entry.previous = this.#last;
    if (this.#last) this.#last.next = entry;
    else this.first = entry;
    this.#last = entry;
  }

  /** Removes an entry; returns whether the list contained it. */
  remove(entry: Entry): boolean {
    const { previous, next } = entry;
    if (previous) previous.next = next;
    else if (this.first === entry) this.first = next;
    else return false;
    if (next) next.previous = previous;
    else this.#last = previous;
    entry.previous = entry.next = undefined;
    return true;
  }
}

/** The longest delay of a runtime timer, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

const NEVER: Timeout = { cancel() {} };

class Timeouts {
  readonly #timers: RuntimeTimers;
  /** By duration in milliseconds. */
  readonly #lists = new Map<number, TimeoutList>();
  /** The number of entries in all lists. */
  #waiting = 0;
  /**
   * Set while there are entries. It may fire before any of them is due, which costs less
   * than a new timer for each session.
   */
  #timer: unknown;
  /** When the timer fires; an entry that ends earlier needs another timer. */
  #firesAt = Infinity;

  constructor(timers: RuntimeTimers) {
    this.#timers = timers;
  }

  start(
    ms: number,
    onTimeout: (argument: unknown) => void,
    argument: unknown,
  ): Timeout {
    if (!(ms > 0) || ms === Infinity) return NEVER;
    let list = this.#lists.get(ms);
    if (!list) this.#lists.set(ms, list = new TimeoutList(this));
    // Rounded: V8 allocates 16 bytes for each number with a fraction.
    const at = Math.ceil(this.#timers.now() + ms);
    const entry = new Entry(list, at, onTimeout, argument);
    list.add(entry);
    this.#waiting++;
    if (at < this.#firesAt) this.#setTimer(at, ms);
    return entry;
  }

  /** An entry has left its list. */
  removed(): void {
    if (--this.#waiting === 0) this.#stop();
  }

  #setTimer(at: number, ms: number): void {
    this.#timers.clearTimeout(this.#timer);
    this.#firesAt = at;
    this.#timer = this.#timers.setTimeout(this.#fire, Math.min(ms, LONGEST));
  }

  #stop(): void {
    this.#timers.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#firesAt = Infinity;
    // All are empty, and a countdown to a deadline adds a new duration each time.
    this.#lists.clear();
  }

  readonly #fire = (): void => {
    this.#firesAt = -Infinity; // timeouts that start meanwhile are found by the loop
    try {
      this.#endDue();
    } finally {
      // A callback has thrown. The other timeouts must still fire.
      if (this.#firesAt === -Infinity) this.#setTimer(this.#timers.now(), 0);
    }
  };

  #endDue(): void {
    const now = this.#timers.now();
    for (let it = this.#earliest(); it; it = this.#earliest()) {
      if (it.at > now + 1) return this.#setTimer(it.at, it.at - now);
      it.cancel();
      it.onTimeout(it.argument);
    }
  }

  /** Returns the entry that ends next, and drops empty lists. */
  #earliest(): Entry | undefined {
    let found: Entry | undefined;
    for (const [ms, { first }] of this.#lists) {
      if (!first) this.#lists.delete(ms);
      else if (!found || first.at < found.at) found = first;
    }
    return found;
  }
}

/** Creates a {@linkcode StartTimeout} on these timers. */
export function createTimeouts(timers: RuntimeTimers): StartTimeout {
  const timeouts = new Timeouts(timers);
  return (ms, onTimeout, argument) =>
    timeouts.start(ms, onTimeout as (argument: unknown) => void, argument);
}

/**
 * The timeouts of the runtime.
 *
 * @example
 * ```ts
 * const timeout = startTimeout(10_000, () => console.log("too slow"));
 * timeout.cancel();
 * ```
 */
export const startTimeout: StartTimeout = createTimeouts({
  now: () => performance.now(),
  setTimeout: (call, ms) => setTimeout(call, ms),
  clearTimeout: (handle) => clearTimeout(handle as number | undefined),
});

/** Returns the rest of a time limit, at least 1 ms; 0 (no limit) stays 0. */
export function timeLeft(limit: number, waited: number): number {
  return limit === 0 ? 0 : Math.max(limit - waited, 1);
}
