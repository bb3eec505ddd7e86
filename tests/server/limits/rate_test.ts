import { assert, assertEquals } from "@std/assert";
import { clientKey } from "../../../src/server/client_key.ts";
import { KeyedRateLimit } from "../../../src/server/limits/keyed_rate_limit.ts";
import { RateLimiter } from "../../../src/server/limits/rate_limiter.ts";
import { RateLimiters } from "../../../src/server/limits/rate_limiters.ts";
import { test } from "../../support/harness.ts";
import { FakeClock } from "../../support/fake_clock.ts";

test("clientKey() is the IPv4 address, the /64 of an IPv6 address, or the text itself", () => {
  const keys = {
    "192.0.2.1": "192.0.2.1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::FFFF:c000:201": "192.0.2.1",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:DB8:1:2::": "2001:db8:1:2::/64",
    "2001:db8:1:3::1": "2001:db8:1:3::/64",
    "fe80:0::1%eth0": "fe80::1",
    "febf::0:2": "febf::2",
    "fec0::1": "fec0::/64",
    "64:FF9B::192.0.2.1": "64:ff9b::c000:201",
    "::1": "::1",
    "a:b": "a:b",
    "": "",
  };
  for (const [hostname, key] of Object.entries(keys)) {
    assertEquals(clientKey(hostname), key, hostname);
  }
});

/** How many of `tries` at the same time get through. */
function taken(rate: KeyedRateLimit, key: string, now: number, tries: number) {
  return Array.from({ length: tries }, () => rate.take(key, now))
    .filter((it) => it).length;
}

test("RateLimit allows twice the rate at once, then the rate", () => {
  for (const [perSecond, burst] of [[1, 10], [5, 10], [7, 14], [300, 600]]) {
    const rate = new KeyedRateLimit(perSecond);
    const start = 123_456_789.012;
    assertEquals(taken(rate, "a", start, 1_000), burst, `${perSecond}`);
    let more = 0;
    for (let ms = 1; ms <= 10_000; ms++) {
      more += taken(rate, "a", start + ms, 2);
    }
    assertEquals(more, 10 * perSecond);
  }
});

test("RateLimit does not count what it turned away, nor one key for another", () => {
  const rate = new KeyedRateLimit(10);
  assertEquals(taken(rate, "a", 0, 10_000), 20);
  assertEquals(taken(rate, "b", 0, 5), 5);
  assertEquals(taken(rate, "a", 100, 5), 1);
  assertEquals(taken(rate, "b", 100, 100), 16);
});

test("RateLimit forgets buckets that are full again, and none before", () => {
  const rate = new KeyedRateLimit(10);
  for (let i = 0; i < 1_000; i++) taken(rate, `${i}`, i, 20);
  assertEquals(rate.size, 1_000);
  for (let i = 0; i < 1_000; i++) {
    assertEquals(taken(rate, `${i}`, 1_999 + i / 1_000, 20) < 20, true, `${i}`);
  }
  for (let ms = 4_000; ms < 9_000; ms += 500) rate.take("other", ms);
  assertEquals(rate.size <= 2, true, `${rate.size} keys`);
});

test("RateLimit remembers no more keys than it may, the newest ones", () => {
  const rate = new KeyedRateLimit(10, 1_000);
  for (let i = 0; i < 100_000; i++) {
    taken(rate, `${i}`, 0, 20);
    assert(rate.size <= 1_000, `${rate.size} keys`);
  }
  assertEquals(rate.take("99999", 0), false);
  assertEquals(rate.take("0", 0), true);
});

test("Throttle lets 100 ms' worth pass at once, and then the rate", () => {
  const clock = new FakeClock();
  const throttle = new RateLimiter(10_000, clock);
  let passed = 0;
  while (!throttle.pass(100)) passed += 100;
  assertEquals(passed, 1_100); // the last one on credit
  throttle.close();
  for (let ms = 0; ms < 5_000; ms += 10) {
    clock.advance(10);
    while (throttle.tryPass(10)) passed += 10;
  }
  assert(Math.abs(passed - 51_000) <= 200, `${passed} octets`);
  clock.advance(60_000);
  let burst = 0;
  while (throttle.tryPass(100)) burst += 100;
  assert(burst <= 1_100, `${burst} octets after a rest`);
  assertEquals(clock.timers, 0);
});

/** Asks for a slice again and again; tells what has passed. */
function drain(
  pass: (octets: number) => Promise<void> | undefined,
  octets: number,
): { passed: number; stop(): void } {
  let over = false;
  const drain = { passed: 0, stop: () => over = true };
  (async () => {
    for (;;) {
      await pass(octets);
      if (over) return;
      drain.passed += octets;
    }
  })();
  return drain;
}

test("Throttle serves all who wait in turn, at the rate", async () => {
  const clock = new FakeClock();
  const throttle = new RateLimiter(100_000, clock);
  const drains = Array.from(
    { length: 20 },
    () => drain((octets) => throttle.pass(octets), 500),
  );
  await clock.run(10_000, 10);
  const each = drains.map(({ passed }) => passed);
  const total = each.reduce((sum, it) => sum + it, 0);
  assert(total >= 980_000 && total <= 1_021_000, `${total} octets`);
  // Who comes first has the burst; the turns after that differ by one at most.
  const rest = each.slice(1);
  assert(Math.max(...rest) - Math.min(...rest) <= 500, each.join());
  for (const it of drains) it.stop();
  throttle.close();
  assertEquals([throttle.waiting, clock.timers], [0, 0]);
});

test("Throttle calls those who wait in the order they came, whatever they ask for", async () => {
  const clock = new FakeClock();
  const throttle = new RateLimiter(1_000, clock);
  throttle.pass(1_000);
  const order: number[] = [];
  for (const [i, octets] of [50, 5_000, 1, 700].entries()) {
    throttle.pass(octets)!.then(() => order.push(i));
  }
  await clock.run(800, 10);
  assertEquals(order, []);
  await clock.run(10_000, 10);
  assertEquals(order, [0, 1, 2, 3]);
  assertEquals(clock.timers, 0);
});

test("Throttle lets nobody overtake who waits, though it might go at once", async () => {
  const clock = new FakeClock();
  const throttle = new RateLimiter(100_000, clock);
  throttle.pass(10_100);
  const order: string[] = [];
  throttle.pass(100)!.then(() => order.push("first"));
  clock.advance(5);
  throttle.pass(1)!.then(() => order.push("second"));
  await clock.run(20, 10);
  assertEquals(order, ["first", "second"]);
  assertEquals(clock.timers, 0);
});

test("Throttle lets who gives up go at once, at no cost to the others", async () => {
  const clock = new FakeClock();
  const throttle = new RateLimiter(1_000, clock);
  throttle.pass(200);
  const first = throttle.enqueue(1_000_000)!;
  const second = throttle.enqueue(10)!;
  const third = throttle.enqueue(1_000_000)!;
  throttle.cancel(first);
  throttle.cancel(third);
  throttle.cancel(third);
  await Promise.all([first.ready, third.ready]);
  assertEquals(throttle.waiting, 1);
  clock.advance(200);
  await second.ready;
  assertEquals([throttle.waiting, clock.timers], [0, 0]);
});

test("Throttle takes a new rate also for those who wait already", async () => {
  const clock = new FakeClock();
  const throttle = new RateLimiter(1, clock);
  throttle.pass(1);
  const waits = [throttle.pass(1)!, throttle.pass(10_000)!, throttle.pass(1)!];
  throttle.rate = Infinity;
  await clock.run(1_100, 10);
  await Promise.all(waits);
  assertEquals(throttle.pass(1e9), undefined);
  assertEquals(clock.timers, 0);
});

test("Throttle reckons what is owed at the new rate", () => {
  const clock = new FakeClock();
  const throttle = new RateLimiter(100, clock);
  throttle.tryPass(60_000); // ten minutes' worth
  throttle.rate = 60_000;
  clock.advance(500);
  assertEquals(throttle.tryPass(1), false);
  clock.advance(500);
  assertEquals(throttle.tryPass(1), true);
});

test("Throttle gives datagrams as much as those who wait, not more", async () => {
  const clock = new FakeClock();
  const throttle = new RateLimiter(100_000, clock);
  const stream = drain((octets) => throttle.pass(octets), 500);
  await clock.run(10_000, 10); // nothing is saved up meanwhile
  stream.passed = 0;
  let datagrams = 0;
  await clock.run(10_000, 1, () => {
    for (let i = 0; i < 100; i++) {
      if (throttle.tryPass(1_400)) datagrams += 1_400;
    }
  });
  const total = datagrams + stream.passed;
  assert(total >= 970_000 && total <= 1_030_000, `${total} octets`);
  const share = datagrams / total;
  assert(share > 0.4 && share < 0.6, `${share} of it datagrams`);
  stream.stop();
  throttle.close();
});

test("Throttles holds back a session by its own rate and by its user's", async () => {
  const clock = new FakeClock();
  const throttles = new RateLimiters(
    { bytesPerSecondPerSession: 20_000, bytesPerSecondPerUser: 50_000 },
    clock,
  );
  const users = ["alice", "alice", "alice", "alice", "bob", undefined];
  const sessions = users.map((user) => throttles.open(user)!);
  assertEquals(throttles.size, 2);
  const drains = sessions.map((it) => drain((octets) => it.pass(octets), 200));
  await clock.run(20_000, 10);
  const [a, b, c, d, bob, nobody] = drains.map(({ passed }) => passed / 20);
  for (const passed of [a, b, c, d]) {
    assert(passed > 11_500 && passed < 13_500, `${passed} per second`);
  }
  for (const passed of [bob, nobody]) {
    assert(passed > 19_500 && passed < 20_500, `${passed} per second`);
  }
  for (const it of drains) it.stop();
  for (const it of sessions) it.close();
  for (const it of sessions) it.close();
  assertEquals(clock.timers, 0);
  clock.advance(1_000); // all is paid for
  throttles.open("carol")!.close();
  assertEquals(throttles.size, 0);
});

test("Throttles lets a user who comes again and again pass as much as one who stays", () => {
  const clock = new FakeClock();
  const throttles = new RateLimiters(
    { bytesPerSecondPerSession: Infinity, bytesPerSecondPerUser: 100_000 },
    clock,
  );
  let passed = 0;
  for (let ms = 0; ms < 5_000; ms += 10) {
    const session = throttles.open("alice")!;
    while (session.tryPass(1_000)) passed += 1_000;
    session.close();
    const next = throttles.open("alice")!;
    if (!next.pass(1_000)) passed += 1_000;
    next.close();
    clock.advance(10);
  }
  assert(passed >= 500_000 && passed <= 512_000, `${passed} octets`);
  assertEquals(clock.timers, 0);
});

test("Throttles takes a new rate also for a user who is away", () => {
  const clock = new FakeClock();
  const limits = {
    bytesPerSecondPerSession: Infinity,
    bytesPerSecondPerUser: 1_000,
  };
  const throttles = new RateLimiters(limits, clock);
  const session = throttles.open("alice")!;
  session.pass(1_100); // leaves a debt of a second
  session.close();
  throttles.limits = { ...limits, bytesPerSecondPerUser: 10_000 };
  const next = throttles.open("alice")!;
  assertEquals([next.slice, next.tryPass(1)], [500, false]);
  clock.advance(1_000);
  assertEquals(next.tryPass(1), true);
  next.close();
});

test("Throttles forgets users who are away when all is paid for and others come and go", () => {
  const clock = new FakeClock();
  const throttles = new RateLimiters(
    { bytesPerSecondPerSession: Infinity, bytesPerSecondPerUser: 1_000 },
    clock,
  );
  for (let i = 0; i < 10_000; i++) {
    const session = throttles.open(`${i}`)!;
    assertEquals(session.tryPass(100), true); // forgotten 100 ms later
    session.close();
    clock.advance(1);
    assert(throttles.size <= 150, `${throttles.size} users`);
  }
  clock.advance(100);
  for (let i = 0; i < 50; i++) throttles.open("nobody else")!.close();
  assertEquals([throttles.size, clock.timers], [0, 0]);
});

test("Throttles counts a session's both directions together", async () => {
  const clock = new FakeClock();
  const throttles = new RateLimiters(
    { bytesPerSecondPerSession: 20_000, bytesPerSecondPerUser: Infinity },
    clock,
  );
  const session = throttles.open()!;
  const up = drain((octets) => session.pass(octets), session.slice);
  const down = drain((octets) => session.pass(octets), session.slice);
  await clock.run(10_000, 10);
  const total = up.passed + down.passed;
  assert(total > 195_000 && total < 205_000, `${total} octets`);
  assert(Math.abs(up.passed - down.passed) < 5_000, `${up.passed} up`);
  up.stop();
  down.stop();
  session.close();
  assertEquals(clock.timers, 0);
});

/** Two sessions of one user, both rates in octets per second. */
function twoSessions(clock: FakeClock, own: number, shared: number) {
  const limits = {
    bytesPerSecondPerSession: own,
    bytesPerSecondPerUser: shared,
  };
  const throttles = new RateLimiters(limits, clock);
  return [throttles.open("alice")!, throttles.open("alice")!];
}

test("Throttles makes a session wait for its user's rate also behind its own", async () => {
  const clock = new FakeClock();
  const [first, second] = twoSessions(clock, 1_000, 10_000);
  assertEquals(first.pass(1_000), undefined); // 0.9 s of its own
  let passed = false;
  first.pass(10)!.then(() => passed = true);
  assertEquals(second.pass(50_000), undefined); // 5 s of both
  await clock.run(2_000, 10);
  assertEquals(passed, false);
  await clock.run(4_000, 10);
  assertEquals(passed, true);
  first.pass(10_000);
  first.pass(10);
  second.pass(10);
  first.close();
  second.close();
  assertEquals(clock.timers, 0);
});

test("Throttles takes a datagram's octets from both rates or from none", () => {
  const clock = new FakeClock();
  const [first, second] = twoSessions(clock, 1_000, 10_000);
  assertEquals(first.tryPass(1_000), true); // its own is in debt now
  for (let i = 0; i < 100; i++) assertEquals(first.tryPass(1_000), false);
  clock.advance(1);
  assertEquals(second.tryPass(20_000), true); // and its user's
  clock.advance(1_500);
  for (let i = 0; i < 100; i++) assertEquals(first.tryPass(1_000), false);
  clock.advance(500);
  assertEquals(first.tryPass(1_000), true);
  first.close();
  second.close();
});

test("Throttles opens nothing where nothing is limited", () => {
  const throttles = new RateLimiters({
    bytesPerSecondPerSession: Infinity,
    bytesPerSecondPerUser: 1_000,
  });
  assertEquals(throttles.open(), undefined);
  const alice = throttles.open("alice")!;
  assertEquals(alice.slice, 50);
  throttles.limits = {
    bytesPerSecondPerSession: Infinity,
    bytesPerSecondPerUser: 2_000,
  };
  assertEquals(alice.slice, 100);
  throttles.limits = {
    bytesPerSecondPerSession: Infinity,
    bytesPerSecondPerUser: Infinity,
  };
  assertEquals(alice.pass(1e9), undefined);
  assertEquals(throttles.open("alice"), undefined);
  alice.close();
  assertEquals(throttles.size, 0);
});
