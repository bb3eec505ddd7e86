import { assert, assertEquals } from "@std/assert";
import { Lockout } from "../../../src/server/auth/lockout.ts";
import { test } from "../../support/harness.ts";
import { admit, fill, sharingServers } from "../../support/sharing_servers.ts";

test("WorkerLimits.close() releases everything that the server held", async () => {
  const limits = { sessions: 10, sessionsPerClient: 10, sessionsPerUser: 10 };
  const { servers, coordinator } = sharingServers(limits);
  for (const server of servers) {
    for (let i = 0; i < 5; i++) {
      const admission = await admit(server);
      assert(
        typeof admission !== "string" && await admission.acquireUser("alice"),
      );
    }
  }
  assertEquals(await admit(servers[1]), "sessions");
  servers[0].worker.close();
  assertEquals((await fill(servers.slice(1))).admissions.length, 5);
  servers[1].worker.close();
  assertEquals(coordinator.size, 0);
});

test("WorkerLimits.close() cancels the bytes that wait", async () => {
  const { servers, clock } = sharingServers({});
  const [{ worker: a }, { worker: b }] = servers;
  const pass = { user: "alice", perSecond: 1_000 };
  await a.pass({ ...pass, ticket: 1, bytes: 200 }); // leaves a debt of 100 ms
  const waiting = a.pass({ ...pass, ticket: 2, bytes: 1_000_000 });
  const behind = b.pass({ ...pass, ticket: 3, bytes: 10 });
  a.close();
  await waiting;
  clock.advance(100);
  await behind;
  assertEquals(clock.timers, 0);
});

test("Coordinator counts failed logins on all servers together", () => {
  const { servers, coordinator, clock } = sharingServers({});
  const [{ worker: a }, { worker: b }] = servers;
  coordinator.lockout = new Lockout({ failedLogins: 4, clock });
  const delays = [a, b, a].map((it) => it.failed("192.0.2.1"));
  assertEquals(delays, [0, 0, 250]);
  assertEquals(a.isLocked("192.0.2.1"), false);
  b.failed("192.0.2.1");
  assertEquals(a.isLocked("192.0.2.1"), true);
  assertEquals(a.succeeded("192.0.2.1"), false);
  assertEquals(a.succeeded("192.0.2.2"), true);
});
