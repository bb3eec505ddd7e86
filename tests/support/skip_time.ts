/**
 * Skips long timeouts, so that tests need not wait for them.
 *
 * @module
 */

/** Timeouts shorter than this, in milliseconds, are not affected. */
const LONG = 1_000;

interface Waiting {
  readonly at: number;
  readonly call: () => void;
}

/** Replaces the timers and the clock of the runtime. */
class SkippingTime {
  readonly #setTimeout = globalThis.setTimeout;
  readonly #clearTimeout = globalThis.clearTimeout;
  readonly #clock = Object.getOwnPropertyDescriptor(performance, "now");
  readonly #now = performance.now.bind(performance);
  readonly #waiting = new Map<unknown, Waiting>();
  #skipped = 0;
  /**
   * Whether time is being skipped. A timeout that begins then is affected,
   * however short it is.
   */
  #passing = false;

  readonly now = (): number => this.#now() + this.#skipped;

  readonly setTimeout = (
    call: () => void,
    ms = 0,
    ...args: unknown[]
  ): unknown => {
    if (ms < LONG && !this.#passing) {
      return Reflect.apply(this.#setTimeout, globalThis, [call, ms, ...args]);
    }
    const handle = {};
    this.#waiting.set(handle, { at: this.now() + ms, call });
    return handle;
  };

  readonly clearTimeout = (handle?: unknown): void => {
    if (this.#waiting.delete(handle)) return;
    Reflect.apply(this.#clearTimeout, globalThis, [handle]);
  };

  begin(): void {
    const { setTimeout, clearTimeout, now: value } = this;
    Object.assign(globalThis, { setTimeout, clearTimeout });
    Object.defineProperty(performance, "now", { value, configurable: true });
  }

  end(): void {
    globalThis.setTimeout = this.#setTimeout;
    globalThis.clearTimeout = this.#clearTimeout;
    Reflect.deleteProperty(performance, "now");
    if (this.#clock) Object.defineProperty(performance, "now", this.#clock);
    const left = this.#waiting.size;
    if (left > 0) throw new Error(`${left} timeouts have not been taken back`);
  }

  readonly skip = (ms: number): void => {
    const until = this.now() + ms;
    this.#passing = true;
    for (let it = this.#next(until); it; it = this.#next(until)) {
      const [handle, { at, call }] = it;
      this.#goTo(at);
      this.#waiting.delete(handle);
      call();
    }
    this.#passing = false;
    this.#goTo(until);
  };

  /** The next timeout that expires until then. */
  #next(until: number): [handle: unknown, Waiting] | undefined {
    const [first] = [...this.#waiting].sort(([, a], [, b]) => a.at - b.at);
    return first && first[1].at <= until ? first : undefined;
  }

  #goTo(time: number): void {
    this.#skipped += Math.max(0, time - this.now());
  }
}

/**
 * Calls `use` with a function that skips time. Timeouts of a second or more that
 * begin during the call expire only by that function, in order, and must have
 * expired or been cancelled at its end. `performance.now()` follows.
 */
export async function withSkips(
  use: (skip: (ms: number) => void) => Promise<void>,
): Promise<void> {
  const time = new SkippingTime();
  time.begin();
  try {
    await use(time.skip);
  } catch (error) {
    try {
      time.end();
    } catch {
      // The first error is the one to report.
    }
    throw error;
  }
  time.end();
}
