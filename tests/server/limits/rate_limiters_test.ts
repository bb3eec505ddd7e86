import { assert, assertEquals } from "@std/assert";
import { RateLimiters } from "../../../src/server/limits/rate_limiters.ts";
import { drain } from "../../support/drain.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";

test("RateLimiters.open() limits a session to its own rate and to that of its user", async () => {
  const clock = new FakeClock();
  const limiters = new RateLimiters(
    { bytesPerSecondPerSession: 20_000, bytesPerSecondPerUser: 50_000 },
    clock,
  );
  const users = ["alice", "alice", "alice", "alice", "bob", undefined];
  const sessions = users.map((user) => limiters.open(user)!);
  assertEquals(limiters.size, 2);
  const drains = sessions.map((it) => drain((bytes) => it.pass(bytes), 200));
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
  clock.advance(1_000); // everything is paid for
  limiters.open("carol")!.close();
  assertEquals(limiters.size, 0);
});

test("RateLimiters.open() gives a user who reconnects repeatedly the same rate as one who stays", () => {
  const clock = new FakeClock();
  const limiters = new RateLimiters(
    { bytesPerSecondPerSession: Infinity, bytesPerSecondPerUser: 100_000 },
    clock,
  );
  let passed = 0;
  for (let ms = 0; ms < 5_000; ms += 10) {
    const session = limiters.open("alice")!;
    while (session.tryPass(1_000)) passed += 1_000;
    session.close();
    const next = limiters.open("alice")!;
    if (!next.pass(1_000)) passed += 1_000;
    next.close();
    clock.advance(10);
  }
  assert(passed >= 500_000 && passed <= 512_000, `${passed} bytes`);
  assertEquals(clock.timers, 0);
});

test("RateLimiters.limits applies to users without a session, too, when it is set", () => {
  const clock = new FakeClock();
  const limits = {
    bytesPerSecondPerSession: Infinity,
    bytesPerSecondPerUser: 1_000,
  };
  const limiters = new RateLimiters(limits, clock);
  const session = limiters.open("alice")!;
  session.pass(1_100); // leaves a debt of a second
  session.close();
  limiters.limits = { ...limits, bytesPerSecondPerUser: 10_000 };
  const next = limiters.open("alice")!;
  assertEquals([next.slice, next.tryPass(1)], [500, false]);
  clock.advance(1_000);
  assertEquals(next.tryPass(1), true);
  next.close();
});

test("RateLimiters forgets users without a session when their bytes are paid for and others connect and leave", () => {
  const clock = new FakeClock();
  const limiters = new RateLimiters(
    { bytesPerSecondPerSession: Infinity, bytesPerSecondPerUser: 1_000 },
    clock,
  );
  for (let i = 0; i < 10_000; i++) {
    const session = limiters.open(`${i}`)!;
    assertEquals(session.tryPass(100), true); // forgotten 100 ms later
    session.close();
    clock.advance(1);
    assert(limiters.size <= 150, `${limiters.size} users`);
  }
  clock.advance(100);
  for (let i = 0; i < 50; i++) limiters.open("nobody else")!.close();
  assertEquals([limiters.size, clock.timers], [0, 0]);
});

test("RateLimiters.open() limits both directions of a session together", async () => {
  const clock = new FakeClock();
  const limiters = new RateLimiters(
    { bytesPerSecondPerSession: 20_000, bytesPerSecondPerUser: Infinity },
    clock,
  );
  const session = limiters.open()!;
  const up = drain((bytes) => session.pass(bytes), session.slice);
  const down = drain((bytes) => session.pass(bytes), session.slice);
  await clock.run(10_000, 10);
  const total = up.passed + down.passed;
  assert(total > 195_000 && total < 205_000, `${total} bytes`);
  assert(Math.abs(up.passed - down.passed) < 5_000, `${up.passed} up`);
  up.stop();
  down.stop();
  session.close();
  assertEquals(clock.timers, 0);
});

/** Two sessions of one user; both rates are in bytes per second. */
function twoSessions(clock: FakeClock, own: number, shared: number) {
  const limits = {
    bytesPerSecondPerSession: own,
    bytesPerSecondPerUser: shared,
  };
  const limiters = new RateLimiters(limits, clock);
  return [limiters.open("alice")!, limiters.open("alice")!];
}

test("SessionRateLimiter.pass() waits for the user's rate after its own", async () => {
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

test("SessionRateLimiter.tryPass() counts a datagram against both rates or against none", () => {
  const clock = new FakeClock();
  const [first, second] = twoSessions(clock, 1_000, 10_000);
  assertEquals(first.tryPass(1_000), true); // its own rate is in debt now
  for (let i = 0; i < 100; i++) assertEquals(first.tryPass(1_000), false);
  clock.advance(1);
  assertEquals(second.tryPass(20_000), true); // and so is that of its user
  clock.advance(1_500);
  for (let i = 0; i < 100; i++) assertEquals(first.tryPass(1_000), false);
  clock.advance(500);
  assertEquals(first.tryPass(1_000), true);
  first.close();
  second.close();
});

test("RateLimiters.open() returns undefined when nothing limits the session", () => {
  const limiters = new RateLimiters({
    bytesPerSecondPerSession: Infinity,
    bytesPerSecondPerUser: 1_000,
  });
  assertEquals(limiters.open(), undefined);
  const alice = limiters.open("alice")!;
  assertEquals(alice.slice, 50);
  limiters.limits = {
    bytesPerSecondPerSession: Infinity,
    bytesPerSecondPerUser: 2_000,
  };
  assertEquals(alice.slice, 100);
  limiters.limits = {
    bytesPerSecondPerSession: Infinity,
    bytesPerSecondPerUser: Infinity,
  };
  assertEquals(alice.pass(1e9), undefined);
  assertEquals(limiters.open("alice"), undefined);
  alice.close();
  assertEquals(limiters.size, 0);
});
