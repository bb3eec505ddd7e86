import { assert, assertEquals } from "@std/assert";
import { Lockout } from "../../../src/server/auth/lockout.ts";
import type {
  Admission,
  RejectionReason,
} from "../../../src/server/limits/connection_limiter.ts";
import {
  reserved,
  shared,
  type SharedLimitsStore,
} from "../../../src/server/cluster/store.ts";
import {
  Coordinator,
  type CoordinatorLimits,
  type WorkerLimits,
} from "../../../src/server/cluster/coordinator.ts";
import {
  SharedConnectionLimiter,
  SharedKeyedLimit,
  SharedRateLimiter,
} from "../../../src/server/cluster/shared_limits.ts";
import { RateLimiters } from "../../../src/server/limits/rate_limiters.ts";
import { test } from "../../support/harness.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const UNLIMITED: CoordinatorLimits = {
  sessions: Infinity,
  sessionsPerClient: Infinity,
  sessionsPerUser: Infinity,
  handshakesPerClient: Infinity,
  connectionsPerSecondPerClient: Infinity,
  associationsPerClient: Infinity,
  bytesPerSecondPerUser: Infinity,
};

/** The books as a server far away sees them; counts what it asks. */
function remote(account: WorkerLimits): SharedLimitsStore & { asked: number } {
  const books = {
    asked: 0,
    acquire(wants: Parameters<WorkerLimits["acquire"]>[0]) {
      books.asked++;
      return Promise.resolve(account.acquire(wants));
    },
    release: account.release.bind(account),
    forceAcquire: account.forceAcquire.bind(account),
    pass: account.pass.bind(account),
    cancel: account.cancel.bind(account),
    releaseUser: account.releaseUser.bind(account),
    isLocked: (client: string) => Promise.resolve(account.isLocked(client)),
    failed: (client: string) => Promise.resolve(account.failed(client)),
    succeeded: (client: string) => Promise.resolve(account.succeeded(client)),
  };
  return books;
}

/** Some servers that share limits, and what keeps their books. */
function crew(
  limits: Partial<CoordinatorLimits>,
  size = 2,
  clock = new FakeClock(),
) {
  const all = { ...UNLIMITED, ...limits };
  const ledger = new Coordinator(all, size, clock);
  const servers = Array.from({ length: size }, () => {
    const account = ledger.open();
    const books = remote(account);
    const admission = new SharedConnectionLimiter(all, books, size);
    return { account, books, admission };
  });
  return { ledger, servers, clock };
}

type Answer = Admission | RejectionReason;

async function admit(
  { admission }: { admission: SharedConnectionLimiter },
  hostname = "192.0.2.1",
): Promise<Answer> {
  return await admission.admit({ remoteAddr: { hostname, port: 1 } });
}

/** Admits clients in turn until one is turned away; gives the others and the reason. */
async function fill(
  servers: { admission: SharedConnectionLimiter }[],
  hostname?: string,
): Promise<{ visits: Admission[]; reason: RejectionReason }> {
  const visits: Admission[] = [];
  for (let i = 0;; i++) {
    const admitted = await admit(servers[i % servers.length], hostname);
    if (typeof admitted === "string") return { visits, reason: admitted };
    visits.push(admitted);
  }
}

test("reserved() and shared() make up the limit", () => {
  for (const servers of [1, 2, 3, 7, 16]) {
    for (const limit of [1, 10, 63, 64, 128, 1_000, 10_000]) {
      const own = reserved(limit, servers);
      assertEquals(own * servers + shared(limit, servers), limit);
      assert(own * servers <= limit / 8);
    }
    assertEquals(reserved(Infinity, servers), Infinity);
    assertEquals(shared(Infinity, servers), Infinity);
  }
});

for (
  const [what, isPerClient] of [
    ["sessions", false],
    ["sessionsPerClient", true],
    ["handshakesPerClient", true],
  ] as const
) {
  for (const limit of [1, 10, 1_000]) {
    test(`SharedAdmission lets ${limit} in by ${what}, on all servers together`, async () => {
      const { servers, ledger } = crew({ [what]: limit });
      const { visits, reason } = await fill(servers);
      assertEquals([visits.length, reason], [limit, what]);
      const other = await admit(servers[0], "192.0.2.2");
      assertEquals(typeof other === "string", !isPerClient);
      if (typeof other !== "string") other.release();
      // Each one that leaves makes room for one more, on any server.
      for (const server of servers) {
        visits.shift()!.release();
        const one = await admit(server);
        assert(typeof one !== "string");
        visits.push(one);
        assertEquals(await admit(server), what);
      }
      for (const visit of visits) visit.release();
      assertEquals(ledger.size, 0);
    });
  }
}

test("SharedAdmission asks for nothing while a large limit is far", async () => {
  const limits = { sessions: 10_000, handshakesPerClient: 1_000 };
  const { servers } = crew(limits);
  for (let i = 0; i < 60; i++) {
    assert(typeof await admit(servers[0]) !== "string");
  }
  assertEquals(servers[0].books.asked, 0);
});

test("SharedAdmission never lets more in than the limit, of which one server alone gets most", async () => {
  const { servers } = crew({ sessions: 1_000 });
  const { visits } = await fill(servers.slice(0, 1));
  assert(visits.length >= 900 && visits.length < 1_000, `${visits.length}`);
  const { visits: more } = await fill(servers.slice(1));
  assertEquals(visits.length + more.length, 1_000);
});

test("SharedAdmission is exact when all ask at the same time", async () => {
  const { servers } = crew({ sessions: 10, sessionsPerClient: 10 }, 3);
  const all = await Promise.all(
    Array.from({ length: 60 }, (_, i) => admit(servers[i % 3])),
  );
  const visits = all.filter((it) => typeof it !== "string");
  assertEquals(visits.length, 10);
});

test("SharedAdmission turns nobody away for a place that was refused for another reason", async () => {
  const { servers } = crew({ sessions: 1_000, sessionsPerClient: 1 });
  const first = await admit(servers[0]);
  for (let i = 0; i < 2_000; i++) {
    assertEquals(await admit(servers[i % 2]), "sessionsPerClient");
  }
  assert(typeof first !== "string");
  first.release();
  assert(typeof await admit(servers[1]) !== "string");
});

test("SharedAdmission counts connections per second of all servers together", async () => {
  const { servers, clock } = crew({ connectionsPerSecondPerClient: 10 });
  const { visits, reason } = await fill(servers);
  assertEquals([visits.length, reason], [20, "connectionsPerSecondPerClient"]);
  clock.advance(500);
  assertEquals((await fill(servers)).visits.length, 5);
  assert(typeof await admit(servers[0], "192.0.2.2") !== "string");
});

test("SharedAdmission counts the sessions of a user on all servers together", async () => {
  const { servers, ledger } = crew({ sessionsPerUser: 3 });
  const visits: Admission[] = [];
  for (let i = 0; i < 4; i++) {
    const visit = await admit(servers[i % 2]);
    assert(typeof visit !== "string");
    visits.push(visit);
    assertEquals(await visit.acquireUser("alice"), i < 3);
  }
  visits[0].release();
  const gone = await admit(servers[1]);
  assert(typeof gone !== "string");
  // It ends while it asks: its place is not lost.
  const asked = gone.acquireUser("alice");
  gone.release();
  assertEquals(await asked, false);
  const next = await admit(servers[1]);
  assert(typeof next !== "string");
  assertEquals(await next.acquireUser("alice"), true);
  for (const visit of [...visits, next]) visit.release();
  assertEquals(ledger.size, 0);
});

test("SharedAdmission counts those who are in when the limits change", async () => {
  const { servers, ledger } = crew({ sessions: 1_000 });
  const visits: Admission[] = [];
  for (let i = 0; i < 300; i++) {
    const visit = await admit(servers[i % 2]);
    assert(typeof visit !== "string");
    visits.push(visit);
  }
  const change = (sessions: number) => {
    const limits = { ...UNLIMITED, sessions };
    ledger.limits = limits;
    for (const { admission } of servers) admission.limits = limits;
  };
  change(20);
  assertEquals(await admit(servers[0]), "sessions");
  for (const visit of visits.splice(0, 281)) visit.release();
  assertEquals((await fill(servers)).visits.length, 1);
  change(Infinity);
  assert(typeof await admit(servers[0]) !== "string");
  change(22);
  assertEquals((await fill(servers)).visits.length, 1);
});

test("Account.close() gives back what its server had", async () => {
  const limits = { sessions: 10, sessionsPerClient: 10, sessionsPerUser: 10 };
  const { servers, ledger } = crew(limits);
  for (const server of servers) {
    for (let i = 0; i < 5; i++) {
      const visit = await admit(server);
      assert(typeof visit !== "string" && await visit.acquireUser("alice"));
    }
  }
  assertEquals(await admit(servers[1]), "sessions");
  servers[0].account.close();
  assertEquals((await fill(servers.slice(1))).visits.length, 5);
  servers[1].account.close();
  assertEquals(ledger.size, 0);
});

test("SharedQuota counts associations of all servers together", async () => {
  const { servers: [a, b], ledger } = crew({ associationsPerClient: 2 });
  const [one, other] = [a, b].map(({ books }) =>
    new SharedKeyedLimit("associationsPerClient", 2, books, 2)
  );
  assertEquals(await one.acquire("x"), true);
  assertEquals(await other.acquire("x"), true);
  assertEquals(await one.acquire("x"), false);
  assertEquals(await one.acquire("y"), true);
  other.release("x");
  assertEquals(await one.acquire("x"), true);
  one.release("x");
  one.release("x");
  one.release("y");
  assertEquals([ledger.size, one.size, other.size], [0, 0, 0]);
});

test("failed logins of all servers count together", () => {
  const { servers: [{ account: a }, { account: b }], ledger } = crew({});
  ledger.lockout = new Lockout({ failedLogins: 4, clock: new FakeClock() });
  const delays = [a, b, a].map((it) => it.failed("192.0.2.1"));
  assertEquals(delays, [0, 0, 250]);
  assertEquals(a.isLocked("192.0.2.1"), false);
  b.failed("192.0.2.1");
  assertEquals(a.isLocked("192.0.2.1"), true);
  assertEquals(a.succeeded("192.0.2.1"), false);
  assertEquals(a.succeeded("192.0.2.2"), true);
});

/** Lets what has been answered be taken. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

test("SharedThrottle lets a user's octets pass at one rate on all servers", async () => {
  const { servers, clock, ledger } = crew({ bytesPerSecondPerUser: 1_000 });
  const throttles = servers.map(({ books }) =>
    new SharedRateLimiter("alice", 1_000, books)
  );
  const passed = [0, 0];
  let over = false;
  const loops = throttles.map(async (throttle, i) => {
    while (!over) {
      await throttle.enqueue(10)?.ready;
      passed[i] += 10;
    }
  });
  for (let ms = 0; ms < 2_000; ms += 10) {
    clock.advance(10);
    await settle();
  }
  const sum = passed[0] + passed[1];
  assert(sum >= 1_900 && sum <= 2_200, `${passed}`);
  assert(Math.abs(passed[0] - passed[1]) <= 100, `${passed}`);
  over = true;
  clock.advance(1_000);
  await Promise.all(loops);
  clock.advance(1_000); // all is paid for
  for (const throttle of throttles) throttle.close();
  assertEquals(ledger.size, 0);
});

/** Throttles of servers that share a user's rate; the octets per second. */
function throttled(bytesPerSecondPerUser: number) {
  const limits = { bytesPerSecondPerSession: Infinity, bytesPerSecondPerUser };
  const { servers, clock, ledger } = crew(limits);
  const throttles = servers.map(({ books }) =>
    new RateLimiters(
      limits,
      clock,
      (user, rate) => new SharedRateLimiter(user, rate, books),
    )
  );
  return { throttles, clock, ledger };
}

test("SharedThrottle holds a user back who comes again and again, on any server", async () => {
  const world = throttled(1_000);
  const { throttles, clock } = world;
  let passed = 0;
  for (let ms = 0; ms < 4_000; ms += 10) {
    const session = throttles[ms / 10 % 2].open("alice")!;
    let over = false;
    const turn = session.pass(100) ?? Promise.resolve();
    turn.then(() => over || (passed += 100));
    await settle();
    over = true;
    session.close();
    await settle();
    clock.advance(10);
  }
  assert(passed >= 3_800 && passed <= 4_300, `${passed} octets`);
  await assertForgets(world);
});

/** Passes when nobody is remembered after all has been paid for and others have come and gone. */
async function assertForgets(
  { throttles, clock, ledger }: ReturnType<typeof throttled>,
): Promise<void> {
  for (let i = 0; i < 6; i++) {
    const session = throttles[i % 2].open("bob")!;
    await session.pass(1);
    clock.advance(1_000);
    session.close();
    await settle();
  }
  const sizes = throttles.map(({ size }) => size);
  assertEquals([ledger.size, ...sizes, clock.timers], [0, 0, 0, 0]);
}

/** How many octets in datagrams pass in 4 s, of so many in each of 400 sessions. */
async function passedIn(
  { throttles, clock }: ReturnType<typeof throttled>,
  octets: number,
): Promise<number> {
  let passed = 0;
  for (let ms = 0; ms < 4_000; ms += 10) {
    const session = throttles[ms / 10 % 2].open("alice")!;
    for (let i = 0; i < octets; i += 10) {
      if (session.tryPass(10)) passed += 10;
    }
    session.close();
    await settle();
    clock.advance(10);
    await settle();
  }
  return passed;
}

for (const octets of [20, 60, 500]) {
  test(`SharedThrottle holds a user back who comes again and again with ${octets} octets in datagrams`, async () => {
    const world = throttled(1_000);
    const passed = await passedIn(world, octets);
    assert(passed >= 3_800 && passed <= 4_300, `${passed} octets`);
    await assertForgets(world);
  });
}

test("SharedThrottle lets all datagrams pass of a user who comes again and again below the rate", async () => {
  assertEquals(await passedIn(throttled(1_200), 10), 4_000);
});

test("SharedThrottle lets datagrams pass again when a large one is paid for", async () => {
  const { throttles: [throttles], clock } = throttled(10_000);
  const session = throttles.open("alice")!;
  for (const octets of [500, 500, 300, 1_400]) { // the last one while the others wait to be paid for
    assertEquals(session.tryPass(octets), true);
    await settle();
  }
  assertEquals(session.tryPass(1), false);
  for (let ms = 0; ms < 1_000; ms += 10) {
    clock.advance(10);
    await settle();
  }
  assertEquals(session.tryPass(1_400), true);
  session.close();
});

test("SharedThrottle lets datagrams pass again after the rate became lower", async () => {
  const { throttles: [throttles], clock } = throttled(1_000_000);
  const session = throttles.open("alice")!;
  for (let i = 0; i < 20; i++) session.tryPass(1_000); // owes too little to pay at once
  await settle();
  throttles.limits = {
    bytesPerSecondPerSession: Infinity,
    bytesPerSecondPerUser: 100_000,
  };
  let passed = 0;
  for (let ms = 0; ms < 3_000; ms += 10) {
    if (ms % 100 === 0 && session.tryPass(1_000)) passed++;
    clock.advance(10);
    await settle();
  }
  assert(passed > 20, `${passed} of 30 have passed`);
  session.close();
});

test("SharedThrottle gives up a turn that nobody waits for any more", async () => {
  const { servers, clock } = crew({ bytesPerSecondPerUser: 1_000 });
  const [one, other] = servers.map(({ books }) =>
    new SharedRateLimiter("alice", 1_000, books)
  );
  await one.enqueue(2_000)?.ready; // leaves a debt of nearly two seconds
  const turns = Array.from({ length: 50 }, () => one.enqueue(1_000)!);
  let came = false;
  other.enqueue(10)?.ready.then(() => came = true);
  for (const turn of turns) one.cancel(turn);
  await Promise.all(turns.map(({ ready }) => ready));
  for (let i = 0; i < 30; i++) clock.advance(100);
  await settle();
  assert(came);
});

test("SharedThrottle lets datagrams pass up to the rate", async () => {
  const { servers, clock } = crew({ bytesPerSecondPerUser: 100_000 });
  const [{ books }] = servers;
  const throttle = new SharedRateLimiter("alice", 100_000, books);
  const send = async (perSecond: number, seconds: number) => {
    let passed = 0;
    for (let ms = 0; ms < seconds * 1_000; ms += 10) {
      for (let i = 0; i < perSecond / 100; i += 100) {
        if (!throttle.mayPass()) continue;
        throttle.consume(100);
        passed += 100;
      }
      await settle();
      clock.advance(10);
      await settle();
    }
    return passed;
  };
  assertEquals(await send(50_000, 2), 100_000);
  const passed = await send(400_000, 2);
  assert(passed >= 190_000 && passed <= 225_000, `${passed}`);
});
