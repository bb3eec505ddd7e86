/**
 * Many timeouts at the price of one runtime timer: whatever waits equally long
 * ends in the order it began, so that a few lists have them all in order.
 *
 * @module
 */

/** One waiting timeout; see {@linkcode startTimeout}. */
export interface Timeout {
  /** Takes the timeout back; harmless when it has fired. */
  cancel(): void;
}

class Entry implements Timeout {
  previous: Entry | undefined;
  next: Entry | undefined;

  constructor(
    readonly list: TimeoutList,
    readonly at: number,
    readonly onTimeout: (argument: unknown) => void,
    readonly argument: unknown,
  ) {}

  cancel(): void {
    if (this.list.remove(this) && --waiting === 0) stop();
  }
}

/**
 * Entries of one duration, in the order they end. Linked by hand: a `Set` whose
 * members come and go leaves chains of outgrown tables behind, which keep dead
 * sessions alive until the next full garbage collection.
 */
class TimeoutList {
  first: Entry | undefined;
  #last: Entry | undefined;

  add(entry: Entry): void {
    entry.previous = this.#last;
    if (this.#last) this.#last.next = entry;
    else this.first = entry;
    this.#last = entry;
  }

  /** Whether it was there. */
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

/** By duration in milliseconds. */
const lists = new Map<number, TimeoutList>();
/** Entries of all lists. */
let waiting = 0;
/** Set while anything waits. One that comes too early costs less than a new one for each session. */
let timer: ReturnType<typeof setTimeout> | undefined;
/** When it will fire; anything before needs another one. */
let firesAt = Infinity;

/** The most milliseconds that a runtime timer can wait. */
const LONGEST = 2 ** 31 - 1;

const NEVER: Timeout = { cancel() {} };

/**
 * Calls `onTimeout` after `ms` milliseconds unless it is cancelled first;
 * 0 or `Infinity` means never. `onTimeout` must not throw. It is called with
 * `argument`: what waits for long and often needs no function of its own.
 *
 * @example
 * ```ts
 * const timeout = startTimeout(10_000, () => console.log("too slow"));
 * timeout.cancel();
 * ```
 */
export function startTimeout<T = undefined>(
  ms: number,
  onTimeout: (argument: T) => void,
  argument?: T,
): Timeout {
  if (!(ms > 0) || ms === Infinity) return NEVER;
  let list = lists.get(ms);
  if (!list) lists.set(ms, list = new TimeoutList());
  const at = Math.ceil(performance.now() + ms); // V8 keeps fractions apart, 16 octets each
  const entry = new Entry(
    list,
    at,
    onTimeout as (argument: unknown) => void,
    argument,
  );
  list.add(entry);
  waiting++;
  if (entry.at < firesAt) setTimer(entry.at, ms);
  return entry;
}

function setTimer(at: number, ms: number): void {
  clearTimeout(timer);
  firesAt = at;
  timer = setTimeout(fire, Math.min(ms, LONGEST));
}

function stop(): void {
  clearTimeout(timer);
  timer = undefined;
  firesAt = Infinity;
  lists.clear(); // all are empty, and who counts down to a deadline makes a new one each time
}

function fire(): void {
  firesAt = -Infinity; // what begins meanwhile is looked at below
  const now = performance.now();
  for (let entry = earliest(); entry; entry = earliest()) {
    if (entry.at > now + 1) return setTimer(entry.at, entry.at - now);
    entry.cancel();
    entry.onTimeout(entry.argument);
  }
}

/** What ends next. Forgets durations that nothing waits for. */
function earliest(): Entry | undefined {
  let found: Entry | undefined;
  for (const [ms, { first }] of lists) {
    if (!first) lists.delete(ms);
    else if (!found || first.at < found.at) found = first;
  }
  return found;
}
