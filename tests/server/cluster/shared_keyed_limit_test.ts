import { assert, assertEquals } from "@std/assert";
import { CheckedStore } from "../../../src/server/cluster/checked_store.ts";
import {
  commonRest,
  serverShare,
  SharedKeyedLimit,
} from "../../../src/server/cluster/shared_keyed_limit.ts";
import { test } from "../../support/harness.ts";
import { CountingStore } from "../../support/counting_store.ts";
import {
  handleAnswers,
  sharingServers,
} from "../../support/sharing_servers.ts";

test("serverShare() and commonRest() add up to the limit", () => {
  for (const servers of [1, 2, 3, 7, 16]) {
    for (const limit of [1, 10, 63, 64, 128, 1_000, 10_000]) {
      const own = serverShare(limit, servers);
      assertEquals(own * servers + commonRest(limit, servers), limit);
      assert(own * servers <= limit / 8);
    }
    assertEquals(serverShare(Infinity, servers), Infinity);
    assertEquals(commonRest(Infinity, servers), Infinity);
  }
  for (const limit of [1, 1_000]) {
    assertEquals([serverShare(limit, 0), commonRest(limit, 0)], [limit, 0]);
    const unknown = [serverShare(limit, Infinity), commonRest(limit, Infinity)];
    assertEquals(unknown, [0, limit]);
  }
});

test("SharedKeyedLimit counts associations on all servers together", async () => {
  const { servers: [a, b], coordinator } = sharingServers({
    associationsPerClient: 2,
  });
  const [one, other] = [a, b].map(({ checked }) =>
    new SharedKeyedLimit("associationsPerClient", 2, checked, 2)
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
  assertEquals([coordinator.size, one.size, other.size], [0, 0, 0]);
});

for (
  const [how, fail] of [
    ["throws", () => {
      throw new Error("no");
    }],
    ["rejects", () => Promise.reject(new Error("no"))],
  ] as const
) {
  test(`SharedKeyedLimit releases no slots of others when forceAcquire() of the store ${how}`, async () => {
    const store = new CountingStore();
    const errors: Error[] = [];
    const checked = new CheckedStore(store, (error) => errors.push(error));
    const limitOf = (limit: number) =>
      new SharedKeyedLimit("sessionsPerUser", limit, checked, 2);
    const [one, other] = [limitOf(Infinity), limitOf(2)];
    assertEquals([one.acquire("x"), one.acquire("x")], [true, true]);
    store.forceAcquire = fail;
    one.limit = 2;
    await handleAnswers();
    assertEquals(errors.length, 1);
    assertEquals(await other.acquire("x"), true);
    one.release("x");
    one.release("x");
    assertEquals(one.size, 0);
    assertEquals(await other.acquire("x"), true);
    assertEquals(await other.acquire("x"), false);
  });
}
