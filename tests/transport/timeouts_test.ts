import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  createTimeouts,
  type RuntimeTimers,
  type StartTimeout,
  startTimeout,
} from "../../src/transport/timeouts.ts";
import { test } from "../support/harness.ts";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Timers of a runtime whose clock advances only by {@linkcode FakeTimers.skip}. */
class FakeTimers implements RuntimeTimers {
  #now = 1_000.5;
  readonly #timers = new Map<unknown, { at: number; call: () => void }>();
  /** The longest delay so far. */
  longest = 0;

  /** How many timers are waiting. */
  get waiting(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(call: () => void, ms: number): unknown {
    const handle = {};
    this.longest = Math.max(this.longest, ms);
    this.#timers.set(handle, { at: this.#now + ms, call });
    return handle;
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle);
  }

  /** Advances the clock. With a large `step`, timers fire late, as after a suspend. */
  skip(ms: number, step = 0): void {
    const until = this.#now + ms;
    this.#now += step;
    for (let next = this.#next(until); next; next = this.#next(until)) {
      const [handle, { at, call }] = next;
      this.#now = Math.max(this.#now, at);
      this.#timers.delete(handle);
      call();
    }
    this.#now = until;
  }

  #next(until: number) {
    const [first] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at);
    return first && first[1].at <= until ? first : undefined;
  }
}

/** Calls with timeouts on fake timers; no timer may be left at the end. */
function withTimers(
  use: (start: StartTimeout, timers: FakeTimers) => void,
): void {
  const timers = new FakeTimers();
  use(createTimeouts(timers), timers);
  assertEquals(timers.waiting, 0);
}

test("startTimeout() fires in order, not early, and not when cancelled", async () => {
  const fired: string[] = [];
  const started = performance.now();
  startTimeout(40, () => fired.push("first"));
  const cancelled = startTimeout(40, () => fired.push("cancelled"));
  await new Promise<void>((resolve) =>
    startTimeout(20, () => {
      fired.push("short");
      cancelled.cancel();
      cancelled.cancel();
      startTimeout(40, () => {
        fired.push("last");
        resolve();
      });
    })
  );
  assertEquals(fired, ["short", "first", "last"]);
  assert(performance.now() - started >= 58);
});

test("startTimeout() may be called, and cancelled, from a timeout", async () => {
  const fired: number[] = [];
  await new Promise<void>((resolve) => {
    startTimeout(10, () => {
      fired.push(1);
      second.cancel();
      startTimeout(10, () => {
        fired.push(3);
        resolve();
      });
    });
    const second = startTimeout(10, () => fired.push(2));
  });
  assertEquals(fired, [1, 3]);
});

test("startTimeout() never fires for 0 and Infinity", async () => {
  let fired = false;
  for (const ms of [0, Infinity, NaN, -1]) {
    startTimeout(ms, () => fired = true).cancel();
    startTimeout(ms, () => fired = true);
  }
  await sleep(10);
  assertEquals(fired, false);
});

test("createTimeouts() fires in time when an earlier timeout starts another", () =>
  withTimers((start, timers) => {
    const fired: string[] = [];
    start(10_000, () => {
      fired.push("first");
      start(10_000, () => fired.push("again"));
    });
    timers.skip(1_000);
    start(10_000, () => fired.push("second"));
    timers.skip(9_500);
    assertEquals(fired, ["first"]);
    timers.skip(1_000);
    assertEquals(fired, ["first", "second"]);
    timers.skip(9_000);
    assertEquals(fired, ["first", "second", "again"]);
  }));

test("createTimeouts() fires in the order in which timeouts end, not that in which they start", () => {
  for (const step of [0, 60_000]) {
    withTimers((start, timers) => {
      const fired: number[] = [];
      for (const ms of [30_000, 10_000, 20_000]) {
        start(ms, (argument) => fired.push(argument), ms);
      }
      start(5_000, () => fired.push(0)).cancel();
      timers.skip(9_000);
      assertEquals(fired, []);
      timers.skip(60_000, step);
      assertEquals(fired, [10_000, 20_000, 30_000]);
    });
  }
});

test("createTimeouts() waits longer than a timer of the runtime can", () =>
  withTimers((start, timers) => {
    const day = 24 * 3_600_000;
    let fired = 0;
    start(60 * day, () => fired++);
    timers.skip(59 * day);
    assertEquals(fired, 0);
    timers.skip(2 * day);
    assertEquals(fired, 1);
    assertEquals(timers.longest, 2 ** 31 - 1);
  }));

test("createTimeouts() uses one timer for many timeouts", () =>
  withTimers((start, timers) => {
    const timeouts = Array.from(
      { length: 100 },
      (_, i) => start(10_000 + i, () => {}),
    );
    assertEquals(timers.waiting, 1);
    for (const it of timeouts) it.cancel();
    assertEquals(timers.waiting, 0);
  }));

test("createTimeouts() fires the other timeouts when one throws", () =>
  withTimers((start, timers) => {
    const fired: string[] = [];
    start(10_000, () => {
      throw new Error("broken");
    });
    start(10_000, () => fired.push("same"));
    start(20_000, () => fired.push("later"));
    assertThrows(() => timers.skip(11_000), Error, "broken");
    timers.skip(1);
    assertEquals(fired, ["same"]);
    start(5_000, () => fired.push("new"));
    timers.skip(6_000);
    assertEquals(fired, ["same", "new"]);
    timers.skip(10_000);
    assertEquals(fired, ["same", "new", "later"]);
  }));
