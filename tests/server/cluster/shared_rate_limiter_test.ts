import { assert, assertEquals } from "@std/assert";
import { CheckedStore } from "../../../src/server/cluster/checked_store.ts";
import { SharedRateLimiter } from "../../../src/server/cluster/shared_rate_limiter.ts";
import { RateLimiters } from "../../../src/server/limits/rate_limiters.ts";
import { CountingStore } from "../../support/counting_store.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";
import {
  handleAnswers,
  sharingServers,
} from "../../support/sharing_servers.ts";

test("SharedRateLimiter limits a user's bytes to one rate on all servers", async () => {
  const { servers, clock, coordinator } = sharingServers({
    bytesPerSecondPerUser: 1_000,
  });
  const limiters = servers.map(({ checked }) =>
    new SharedRateLimiter("alice", 1_000, checked, clock)
  );
  const passed = [0, 0];
  let over = false;
  const loops = limiters.map(async (limiter, i) => {
    while (!over) {
      await limiter.enqueue(10)?.ready;
      passed[i] += 10;
    }
  });
  for (let ms = 0; ms < 2_000; ms += 10) {
    clock.advance(10);
    await handleAnswers();
  }
  const sum = passed[0] + passed[1];
  assert(sum >= 1_900 && sum <= 2_200, `${passed}`);
  assert(Math.abs(passed[0] - passed[1]) <= 100, `${passed}`);
  over = true;
  clock.advance(1_000);
  await Promise.all(loops);
  clock.advance(1_000); // everything is paid for
  const request = { ticket: 0, bytes: 1, perSecond: 1_000 };
  await servers[0].worker.pass({ ...request, user: "bob" });
  assertEquals(coordinator.size, 1); // bob
});

/** The rate limiters of servers that share the rate of each user, in bytes per second. */
function sharedRateLimiters(bytesPerSecondPerUser: number) {
  const limits = { bytesPerSecondPerSession: Infinity, bytesPerSecondPerUser };
  const { servers, clock, coordinator } = sharingServers(limits);
  const limiters = servers.map(({ checked }) =>
    new RateLimiters(
      limits,
      clock,
      (user, rate) => new SharedRateLimiter(user, rate, checked, clock),
    )
  );
  return { limiters, clock, coordinator };
}

test("SharedRateLimiter limits a user who reconnects repeatedly, to any server", async () => {
  const world = sharedRateLimiters(1_000);
  const { limiters, clock } = world;
  let passed = 0;
  for (let ms = 0; ms < 4_000; ms += 10) {
    const session = limiters[ms / 10 % 2].open("alice")!;
    let over = false;
    const waiter = session.pass(100) ?? Promise.resolve();
    waiter.then(() => over || (passed += 100));
    await handleAnswers();
    over = true;
    session.close();
    await handleAnswers();
    clock.advance(10);
  }
  assert(passed >= 3_800 && passed <= 4_300, `${passed} bytes`);
  await assertForgets(world);
});

/**
 * Passes if only the last user is remembered after everything was paid for and
 * another user has had sessions.
 */
async function assertForgets(
  { limiters, clock, coordinator }: ReturnType<typeof sharedRateLimiters>,
): Promise<void> {
  for (let i = 0; i < 6; i++) {
    const session = limiters[i % 2].open("bob")!;
    await session.pass(1);
    clock.advance(1_000);
    session.close();
    await handleAnswers();
  }
  const sizes = limiters.map(({ size }) => size);
  assertEquals([coordinator.size, ...sizes, clock.timers], [1, 0, 0, 0]);
}

/** How many bytes pass in datagrams in 4 s, if each of 400 sessions sends this many. */
async function passedIn(
  { limiters, clock }: ReturnType<typeof sharedRateLimiters>,
  bytes: number,
): Promise<number> {
  let passed = 0;
  for (let ms = 0; ms < 4_000; ms += 10) {
    const session = limiters[ms / 10 % 2].open("alice")!;
    for (let i = 0; i < bytes; i += 10) {
      if (session.tryPass(10)) passed += 10;
    }
    session.close();
    await handleAnswers();
    clock.advance(10);
    await handleAnswers();
  }
  return passed;
}

for (const bytes of [20, 60, 500]) {
  test(`SharedRateLimiter limits a user who reconnects repeatedly and sends ${bytes} bytes in datagrams`, async () => {
    const world = sharedRateLimiters(1_000);
    const passed = await passedIn(world, bytes);
    assert(passed >= 3_800 && passed <= 4_300, `${passed} bytes`);
    await assertForgets(world);
  });
}

test("SharedRateLimiter drops no datagram of a user who reconnects repeatedly and stays below the rate", async () => {
  assertEquals(await passedIn(sharedRateLimiters(1_200), 10), 4_000);
});

test("SharedRateLimiter lets datagrams pass again when a large one is paid for", async () => {
  const { limiters: [limiters], clock } = sharedRateLimiters(10_000);
  const session = limiters.open("alice")!;
  // The last one passes while the payment for the others waits.
  for (const bytes of [500, 500, 300, 1_400]) {
    assertEquals(session.tryPass(bytes), true);
    await handleAnswers();
  }
  assertEquals(session.tryPass(1), false);
  for (let ms = 0; ms < 1_000; ms += 10) {
    clock.advance(10);
    await handleAnswers();
  }
  assertEquals(session.tryPass(1_400), true);
  session.close();
});

test("SharedRateLimiter lets datagrams pass again after the rate became lower", async () => {
  const { limiters: [limiters], clock } = sharedRateLimiters(1_000_000);
  const session = limiters.open("alice")!;
  for (let i = 0; i < 20; i++) session.tryPass(1_000); // a debt too small to be paid at once
  await handleAnswers();
  limiters.limits = {
    bytesPerSecondPerSession: Infinity,
    bytesPerSecondPerUser: 100_000,
  };
  let passed = 0;
  for (let ms = 0; ms < 3_000; ms += 10) {
    if (ms % 100 === 0 && session.tryPass(1_000)) passed++;
    clock.advance(10);
    await handleAnswers();
  }
  assert(passed > 20, `${passed} of 30 have passed`);
  session.close();
});

test("SharedRateLimiter cancel() removes waiters, so that another server's need not wait for them", async () => {
  const { servers, clock } = sharingServers({ bytesPerSecondPerUser: 1_000 });
  const [one, other] = servers.map(({ checked }) =>
    new SharedRateLimiter("alice", 1_000, checked, clock)
  );
  await one.enqueue(2_000)?.ready; // leaves a debt of nearly two seconds
  const waiters = Array.from({ length: 50 }, () => one.enqueue(1_000)!);
  let passed = false;
  other.enqueue(10)?.ready.then(() => passed = true);
  for (const waiter of waiters) one.cancel(waiter);
  await Promise.all(waiters.map(({ ready }) => ready));
  for (let i = 0; i < 30; i++) clock.advance(100);
  await handleAnswers();
  assert(passed);
});

test("SharedRateLimiter lets datagrams pass up to the rate", async () => {
  const { servers, clock } = sharingServers({ bytesPerSecondPerUser: 100_000 });
  const [{ checked }] = servers;
  const limiter = new SharedRateLimiter("alice", 100_000, checked, clock);
  const send = async (perSecond: number, seconds: number) => {
    let passed = 0;
    for (let ms = 0; ms < seconds * 1_000; ms += 10) {
      for (let i = 0; i < perSecond / 100; i += 100) {
        if (!limiter.mayPass()) continue;
        limiter.consume(100);
        passed += 100;
      }
      await handleAnswers();
      clock.advance(10);
      await handleAnswers();
    }
    return passed;
  };
  assertEquals(await send(50_000, 2), 100_000);
  const passed = await send(400_000, 2);
  assert(passed >= 190_000 && passed <= 225_000, `${passed}`);
});

test("SharedRateLimiter drops datagrams while the store fails, and pays again after a second", async () => {
  const clock = new FakeClock();
  const store = new CountingStore();
  const errors: Error[] = [];
  const checked = new CheckedStore(store, (error) => errors.push(error));
  const limiter = new SharedRateLimiter("alice", 1_000, checked, clock);
  const failure = new Error("no answer");
  let calls = 0;
  store.passed = () => {
    calls++;
    return Promise.reject(failure);
  };
  for (let i = 0; i < 20; i++) {
    if (limiter.mayPass()) limiter.consume(10);
    await handleAnswers();
  }
  assertEquals([limiter.mayPass(), calls], [false, 1]);
  clock.advance(1_000);
  assertEquals(limiter.mayPass(), false);
  await handleAnswers();
  assertEquals(calls, 2);
  assertEquals(errors.map(({ cause }) => cause), [failure]);
  store.passed = () => {};
  clock.advance(1_000);
  limiter.mayPass();
  await handleAnswers();
  assertEquals(limiter.mayPass(), true);
});
