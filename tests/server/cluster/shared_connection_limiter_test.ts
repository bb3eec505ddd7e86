import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Admission } from "../../../src/server/limits/admission.ts";
import { LimitsError } from "../../../src/server/limits/limits_error.ts";
import { test } from "../../support/harness.ts";
import {
  admit,
  fill,
  sharingServers,
  UNLIMITED,
} from "../../support/sharing_servers.ts";

for (
  const [what, isPerClient] of [
    ["sessions", false],
    ["sessionsPerClient", true],
    ["handshakesPerClient", true],
  ] as const
) {
  for (const limit of [1, 10, 1_000]) {
    test(`SharedConnectionLimiter admits ${limit} clients with a limit of ${what} on all servers together`, async () => {
      const { servers, coordinator } = sharingServers({ [what]: limit });
      const { admissions, reason } = await fill(servers);
      assertEquals([admissions.length, reason], [limit, what]);
      const other = await admit(servers[0], "192.0.2.2");
      assertEquals(typeof other === "string", !isPerClient);
      if (typeof other !== "string") other.release();
      // Each session that ends makes room for another one, on any server.
      for (const server of servers) {
        admissions.shift()!.release();
        const one = await admit(server);
        assert(typeof one !== "string");
        admissions.push(one);
        assertEquals(await admit(server), what);
      }
      for (const admission of admissions) admission.release();
      assertEquals(coordinator.size, 0);
    });
  }
}

test("SharedConnectionLimiter does not ask the store while little of a large limit is used", async () => {
  const limits = { sessions: 10_000, handshakesPerClient: 1_000 };
  const { servers } = sharingServers(limits);
  for (let i = 0; i < 60; i++) {
    assert(typeof await admit(servers[0]) !== "string");
  }
  assertEquals(servers[0].store.asked, 0);
});

test("SharedConnectionLimiter never exceeds the limit, most of which one server alone can use", async () => {
  const { servers } = sharingServers({ sessions: 1_000 });
  const { admissions } = await fill(servers.slice(0, 1));
  assert(
    admissions.length >= 900 && admissions.length < 1_000,
    `${admissions.length}`,
  );
  const { admissions: more } = await fill(servers.slice(1));
  assertEquals(admissions.length + more.length, 1_000);
});

test("SharedConnectionLimiter is exact when all servers ask at the same time", async () => {
  const { servers } = sharingServers(
    { sessions: 10, sessionsPerClient: 10 },
    3,
  );
  const all = await Promise.all(
    Array.from({ length: 60 }, (_, i) => admit(servers[i % 3])),
  );
  const admissions = all.filter((it) => typeof it !== "string");
  assertEquals(admissions.length, 10);
});

test("SharedConnectionLimiter loses no slot to clients that are rejected for another limit", async () => {
  const { servers } = sharingServers({ sessions: 1_000, sessionsPerClient: 1 });
  const first = await admit(servers[0]);
  for (let i = 0; i < 2_000; i++) {
    assertEquals(await admit(servers[i % 2]), "sessionsPerClient");
  }
  assert(typeof first !== "string");
  first.release();
  assert(typeof await admit(servers[1]) !== "string");
});

test("SharedConnectionLimiter loses no slot while the store fails", async () => {
  const { servers } = sharingServers({
    sessions: 1_000,
    sessionsPerClient: 10,
  });
  const [server] = servers;
  const { acquire } = server.store;
  server.store.acquire = () => Promise.reject(new Error("no answer"));
  for (let i = 0; i < 2_000; i++) {
    await assertRejects(() => admit(server), LimitsError, "no answer");
  }
  server.store.acquire = acquire;
  let admitted = 0;
  while (
    typeof await admit(servers[admitted % 2], `${admitted}`) !== "string"
  ) {
    admitted++;
  }
  assertEquals(admitted, 1_000);
});

test("SharedConnectionLimiter counts connections per second on all servers together", async () => {
  const { servers, clock } = sharingServers({
    connectionsPerSecondPerClient: 10,
  });
  const { admissions, reason } = await fill(servers);
  assertEquals([admissions.length, reason], [
    20,
    "connectionsPerSecondPerClient",
  ]);
  clock.advance(500);
  assertEquals((await fill(servers)).admissions.length, 5);
  assert(typeof await admit(servers[0], "192.0.2.2") !== "string");
});

test("SharedConnectionLimiter counts the sessions of a user on all servers together", async () => {
  const { servers, coordinator } = sharingServers({ sessionsPerUser: 3 });
  const admissions: Admission[] = [];
  for (let i = 0; i < 4; i++) {
    const admission = await admit(servers[i % 2]);
    assert(typeof admission !== "string");
    admissions.push(admission);
    assertEquals(await admission.acquireUser("alice"), i < 3);
  }
  admissions[0].release();
  const gone = await admit(servers[1]);
  assert(typeof gone !== "string");
  // The session ends while its limiter asks: the slot is not lost.
  const asked = gone.acquireUser("alice");
  gone.release();
  assertEquals(await asked, false);
  const next = await admit(servers[1]);
  assert(typeof next !== "string");
  assertEquals(await next.acquireUser("alice"), true);
  for (const admission of [...admissions, next]) admission.release();
  assertEquals(coordinator.size, 0);
});

test("SharedConnectionLimiter counts open sessions when the limits change", async () => {
  const { servers } = sharingServers({ sessions: 1_000 });
  const admissions: Admission[] = [];
  for (let i = 0; i < 300; i++) {
    const admission = await admit(servers[i % 2]);
    assert(typeof admission !== "string");
    admissions.push(admission);
  }
  const change = (sessions: number) => {
    const limits = { ...UNLIMITED, sessions };
    for (const { limiter } of servers) limiter.limits = limits;
  };
  change(20);
  assertEquals(await admit(servers[0]), "sessions");
  for (const admission of admissions.splice(0, 281)) admission.release();
  assertEquals((await fill(servers)).admissions.length, 1);
  change(Infinity);
  assert(typeof await admit(servers[0]) !== "string");
  change(22);
  assertEquals((await fill(servers)).admissions.length, 1);
});
