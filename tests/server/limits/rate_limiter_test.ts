import { assert, assertEquals } from "@std/assert";
import { RateLimiter } from "../../../src/server/limits/rate_limiter.ts";
import { drain } from "../../support/drain.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";

test("RateLimiter lets bursts of 100 ms' worth pass, and then the rate", () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter(10_000, clock);
  let passed = 0;
  while (!limiter.pass(100)) passed += 100;
  assertEquals(passed, 1_100); // the last one on credit
  limiter.close();
  for (let ms = 0; ms < 5_000; ms += 10) {
    clock.advance(10);
    while (limiter.tryPass(10)) passed += 10;
  }
  assert(Math.abs(passed - 51_000) <= 200, `${passed} bytes`);
  clock.advance(60_000);
  let burst = 0;
  while (limiter.tryPass(100)) burst += 100;
  assert(burst <= 1_100, `${burst} bytes after idle time`);
  assertEquals(clock.timers, 0);
});

test("RateLimiter serves all waiters in turn, at the rate", async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter(100_000, clock);
  const drains = Array.from(
    { length: 20 },
    () => drain((bytes) => limiter.pass(bytes), 500),
  );
  await clock.run(10_000, 10);
  const each = drains.map(({ passed }) => passed);
  const total = each.reduce((sum, it) => sum + it, 0);
  assert(total >= 980_000 && total <= 1_021_000, `${total} bytes`);
  // The first one has the burst; the counts of the others differ by one slice at most.
  const rest = each.slice(1);
  assert(Math.max(...rest) - Math.min(...rest) <= 500, each.join());
  for (const it of drains) it.stop();
  limiter.close();
  assertEquals([limiter.waiting, clock.timers], [0, 0]);
});

test("RateLimiter serves waiters in the order of their arrival, whatever their size", async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter(1_000, clock);
  limiter.pass(1_000);
  const order: number[] = [];
  for (const [i, bytes] of [50, 5_000, 1, 700].entries()) {
    limiter.pass(bytes)!.then(() => order.push(i));
  }
  await clock.run(800, 10);
  assertEquals(order, []);
  await clock.run(10_000, 10);
  assertEquals(order, [0, 1, 2, 3]);
  assertEquals(clock.timers, 0);
});

test("RateLimiter lets no bytes overtake a waiter, even when they could pass at once", async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter(100_000, clock);
  limiter.pass(10_100);
  const order: string[] = [];
  limiter.pass(100)!.then(() => order.push("first"));
  clock.advance(5);
  limiter.pass(1)!.then(() => order.push("second"));
  await clock.run(20, 10);
  assertEquals(order, ["first", "second"]);
  assertEquals(clock.timers, 0);
});

test("RateLimiter.cancel() resolves the waiter at once, at no cost to the others", async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter(1_000, clock);
  limiter.pass(200);
  const first = limiter.enqueue(1_000_000)!;
  const second = limiter.enqueue(10)!;
  const third = limiter.enqueue(1_000_000)!;
  limiter.cancel(first);
  limiter.cancel(third);
  limiter.cancel(third);
  await Promise.all([first.ready, third.ready]);
  assertEquals(limiter.waiting, 1);
  clock.advance(200);
  await second.ready;
  assertEquals([limiter.waiting, clock.timers], [0, 0]);
});

test("RateLimiter.rate applies to waiters, too, when it is set", async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter(1, clock);
  limiter.pass(1);
  const waits = [limiter.pass(1)!, limiter.pass(10_000)!, limiter.pass(1)!];
  limiter.rate = Infinity;
  await clock.run(1_100, 10);
  await Promise.all(waits);
  assertEquals(limiter.pass(1e9), undefined);
  assertEquals(clock.timers, 0);
});

test("RateLimiter.rate converts the debt when it is set", () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter(100, clock);
  limiter.tryPass(60_000); // ten minutes' worth
  limiter.rate = 60_000;
  clock.advance(500);
  assertEquals(limiter.tryPass(1), false);
  clock.advance(500);
  assertEquals(limiter.tryPass(1), true);
});

test("RateLimiter.tryPass() lets datagrams pass as much as waiters, not more", async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter(100_000, clock);
  const stream = drain((bytes) => limiter.pass(bytes), 500);
  await clock.run(10_000, 10); // datagrams accumulate no credit
  stream.passed = 0;
  let datagrams = 0;
  await clock.run(10_000, 1, () => {
    for (let i = 0; i < 100; i++) {
      if (limiter.tryPass(1_400)) datagrams += 1_400;
    }
  });
  const total = datagrams + stream.passed;
  assert(total >= 970_000 && total <= 1_030_000, `${total} bytes`);
  const share = datagrams / total;
  assert(share > 0.4 && share < 0.6, `${share} of it datagrams`);
  stream.stop();
  limiter.close();
});
