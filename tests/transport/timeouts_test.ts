import { assert, assertEquals } from "@std/assert";
import { startTimeout } from "../../src/transport/timeouts.ts";
import { test } from "../support/harness.ts";
import { withSkips } from "../support/skip_time.ts";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("startTimeout() fires in order, not early, and not when cancelled", async () => {
  const fired: string[] = [];
  const started = performance.now();
  startTimeout(40, () => fired.push("first"));
  const taken = startTimeout(40, () => fired.push("taken back"));
  await new Promise<void>((resolve) =>
    startTimeout(20, () => {
      fired.push("short");
      taken.cancel();
      taken.cancel();
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

test("startTimeout() fires in time though one before begins another", () =>
  withSkips((skip) => {
    const fired: string[] = [];
    startTimeout(10_000, () => {
      fired.push("first");
      startTimeout(10_000, () => fired.push("again"));
    });
    skip(1_000);
    startTimeout(10_000, () => fired.push("second"));
    skip(9_500);
    assertEquals(fired, ["first"]);
    skip(1_000);
    assertEquals(fired, ["first", "second"]);
    skip(9_000);
    assertEquals(fired, ["first", "second", "again"]);
    return Promise.resolve();
  }));

test("startTimeout() fires in the order of ends, whatever began first", () =>
  withSkips((skip) => {
    const fired: number[] = [];
    for (const ms of [30_000, 10_000, 20_000]) {
      startTimeout(ms, () => fired.push(ms));
    }
    startTimeout(5_000, () => fired.push(0)).cancel();
    skip(9_000);
    assertEquals(fired, []);
    skip(60_000); // as on a machine that stood still
    assertEquals(fired, [10_000, 20_000, 30_000]);
    return Promise.resolve();
  }));

test("startTimeout() never fires for 0 and Infinity", async () => {
  let fired = false;
  for (const ms of [0, Infinity, NaN, -1]) {
    startTimeout(ms, () => fired = true).cancel();
    startTimeout(ms, () => fired = true);
  }
  await sleep(10);
  assertEquals(fired, false);
});

test("startTimeout() waits longer than a timer of the runtime can", () =>
  withSkips((skip) => {
    const day = 24 * 3_600_000;
    const { setTimeout } = globalThis;
    const longest: number[] = [];
    const watched = (call: () => void, ms?: number) => {
      longest.push(ms ?? 0);
      return setTimeout(call, ms);
    };
    Object.assign(globalThis, { setTimeout: watched });
    let fired = 0;
    startTimeout(60 * day, () => fired++);
    skip(59 * day);
    assertEquals(fired, 0);
    skip(2 * day);
    assertEquals(fired, 1);
    assertEquals(Math.max(...longest), 2 ** 31 - 1);
    return Promise.resolve();
  }));
