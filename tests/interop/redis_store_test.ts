/** Stores in a real Redis, with clients of npm that were made elsewhere. */

import "./redis_program.ts";
import { assert, assertEquals } from "@std/assert";
import {
  type RedisClient,
  type RedisStore,
  redisStore,
  type RedisStoreOptions,
} from "../../src/redis/mod.ts";
import { test } from "../support/harness.ts";
import { certificates } from "../support/certificates.ts";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { load } from "./libraries.ts";
import { freePort, missing, until, withFolder } from "./programs.ts";
import {
  NPM_REDIS,
  type Redis,
  untilHeld,
  withNodes,
  withRedis,
} from "./redis.ts";
import { missingRuntime, runtimes } from "./runtimes.ts";

const skip = runtimes.map(missingRuntime).find((it) => it !== undefined) ??
  missing("redis-server", "redis-cli");
const options = { skip, foreign: true };

interface Client extends RedisClient {
  close(): void;
}

/** Connects a client of a package. */
const clients: Record<string, (url: string) => Promise<Client>> = {
  async redis(url) {
    const { createClient } = await load("redis", NPM_REDIS);
    const client = createClient({ url, disableOfflineQueue: true });
    client.on("error", () => {});
    await client.connect();
    return {
      send: (command, args) => client.sendCommand([command, ...args]),
      close: () => client.destroy(),
    };
  },
  async ioredis(url) {
    const { Redis } = await load("ioredis", "6.0.0");
    const client = new Redis(url, { enableOfflineQueue: false });
    client.on("error", () => {});
    await new Promise((resolve) => client.once("ready", resolve));
    return {
      send: (command, args) => client.call(command, ...args),
      close: () => client.disconnect(),
    };
  },
};

/** Runs `use` with two stores that have found Redis. */
async function withStores(
  kind: string,
  given: RedisStoreOptions,
  use: (redis: Redis, stores: readonly RedisStore[]) => Promise<void>,
): Promise<void> {
  await withRedis("redis-server", async (redis) => {
    const connected = [
      await clients[kind](redis.url),
      await clients[kind](redis.url),
    ];
    const stores = connected.map((client) =>
      redisStore({ lease: 900, timeout: 300, ...given, client })
    );
    await Promise.all(stores.map((it) => it.ready));
    try {
      await use(redis, stores);
    } finally {
      for (const it of stores) await it.close();
      for (const it of connected) it.close();
    }
  });
}

const slot = { limit: "sessionsPerUser", key: "al" } as const;

for (const kind of Object.keys(clients)) {
  test(
    `redisStore() is exact with clients of ${kind}`,
    () =>
      withStores(kind, {}, async (redis, [one, other]) => {
        for (const key of ["al", "\ud800", "\0\r\n", "@", "#", "'é😀"]) {
          const requests = [{ ...slot, key, max: 10 }];
          const answers = await Promise.all(
            Array.from(
              { length: 60 },
              (_, i) => (i % 2 ? one : other).acquire(requests),
            ),
          );
          assertEquals(answers.filter((it) => it === null).length, 10);
        }
        // Scripts that Redis forgets are sent again.
        await redis.command("SCRIPT", "FLUSH");
        const { acquire } = one;
        const answer = await acquire.call(one, [{ ...slot, max: 10 }]);
        assertEquals(answer, "sessionsPerUser");
        assertEquals(one.state, { isUp: true, errors: 0 });
      }),
    options,
  );
}

test(
  "redisStore() locks out a client that has failed more often than a lowered limit",
  () =>
    withStores("redis", {}, async (redis, [one, other]) => {
      const client = "192.0.2.1";
      one.setLockout({ failedLogins: 0 });
      for (let i = 0; i < 12; i++) await one.failed(client);
      assertEquals(await one.succeeded(client), true);
      for (let i = 0; i < 5; i++) await other.failed(client);
      other.setLockout({ failedLogins: 3 });
      await other.failed(client);
      assertEquals(await other.isLocked(client), true);
      assertEquals(await redis.command("ZCARD", "{socks5}:failing"), "0");
    }),
  options,
);

test(
  "redisStore() frees the slots of many nodes that have crashed at once",
  () =>
    withStores("redis", { lease: 30_000 }, async (redis, [one]) => {
      const crash = `for i = 1, 40 do
        redis.call('ZADD', '{socks5}:nodes', 1, i)
        redis.call('HSET', '{socks5}:held:' .. i, "sessionsPerUser|'al", 1)
        redis.call('HINCRBY', '{socks5}:totals', "sessionsPerUser|'al", 1)
      end`;
      await redis.command("EVAL", crash, "0");
      assertEquals(await one.acquire([{ ...slot, max: 1 }]), null);
    }),
  options,
);

test(
  "redisStore() counts again when keys were deleted",
  () =>
    withStores("redis", {}, async (redis, [one, other]) => {
      const requests = [{ ...slot, max: 9 }];
      for (let i = 0; i < 3; i++) await one.acquire(requests);
      for (let i = 0; i < 2; i++) await other.acquire(requests);
      const nodes = await redis.command("ZRANGE", "{socks5}:nodes", "0", "-1");
      const [held] = nodes.split("\n").map((it) => `{socks5}:held:${it}`);
      for (const key of ["{socks5}:totals", held]) {
        await redis.command("DEL", key);
        const first = await other.acquire([{ ...slot, key: "bo", max: 9 }]);
        assertEquals(first, null);
        other.release({ ...slot, key: "bo" });
        const isBack = async () => await redis.command("EXISTS", key) === "1";
        await until(`${key} is there again`, isBack);
        await untilHeld(redis, 5);
      }
      for (let i = 0; i < 3; i++) one.release(slot);
      for (let i = 0; i < 2; i++) other.release(slot);
      await untilHeld(redis, 0);
    }),
  options,
);

test(
  "redisStore() does not wait for long after the clock of Redis was set back",
  () =>
    withStores("redis", {}, async (redis, [one]) => {
      const rate = {
        limit: "connectionsPerSecondPerClient",
        key: "192.0.2.1",
        perSecond: 5,
      } as const;
      const paid = `${Date.now() + 3_600_000}`;
      const prefix = "{socks5}:";
      const key = `${prefix}rate:connectionsPerSecondPerClient|'192.0.2.1`;
      await redis.command("SET", key, paid);
      await redis.command("SET", `${prefix}pass:'al`, paid);
      assertEquals(await one.acquire([rate]), null);
      const request = { ticket: 1, user: "al", bytes: 500, perSecond: 1_000 };
      let hasPassed = false;
      void Promise.resolve(one.pass(request)).then(() => hasPassed = true);
      await until("bytes pass", () => Promise.resolve(hasPassed), 5_000);
      one.cancel(1);
    }),
  options,
);

test(
  "redisStore() takes no node for dead because the clock of Redis was set forward",
  () =>
    withStores("redis", { lease: 30_000 }, async (redis, [one, other]) => {
      const requests = [{ ...slot, max: 10 }];
      for (let i = 0; i < 6; i++) await one.acquire(requests);
      for (let i = 0; i < 4; i++) await other.acquire(requests);
      const nodes = await redis.command("ZRANGE", "{socks5}:nodes", "0", "-1");
      for (const node of nodes.split("\n")) {
        await redis.command("ZADD", "{socks5}:nodes", "1", node);
      }
      for (const it of [one, other]) {
        assertEquals(await it.acquire(requests), "sessionsPerUser");
      }
      assertEquals(await redis.held(), 10);
    }),
  options,
);

test(
  "redisStore() takes no node for dead whose lease is longer than that of others",
  () =>
    withStores("redis", {}, async (redis, [one]) => {
      const client = await clients.redis(redis.url);
      const other = redisStore({ client, lease: 60_000, timeout: 300 });
      await other.ready;
      const requests = [{ ...slot, max: 1 }];
      assertEquals(await other.acquire(requests), null);
      const ends = () =>
        redis.command("ZRANGE", "{socks5}:nodes", "-1", "-1", "WITHSCORES");
      const before = await ends();
      // Meanwhile the first one sends heartbeats, but not the other.
      const end = Date.now() + 2_000;
      while (Date.now() < end) {
        assertEquals(await one.acquire(requests), "sessionsPerUser");
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assertEquals(await ends(), before);
      await other.close();
      assertEquals(await one.acquire(requests), null);
      client.close();
    }),
  options,
);

test(
  "redisStore() frees the slots of a dead node although the clock of Redis was set back",
  () =>
    withStores("redis", {}, async (redis, [one]) => {
      const end = `${Date.now() + 3_600_000}`;
      await redis.command("ZADD", "{socks5}:nodes", end, "dead");
      const field = "sessionsPerUser|'al";
      await redis.command("HSET", "{socks5}:held:dead", field, "1");
      await redis.command("HINCRBY", "{socks5}:totals", field, "1");
      const isGranted = async () =>
        await one.acquire([{ ...slot, max: 1 }]) === null;
      assertEquals(await isGranted(), false);
      await until("its slot is free", isGranted, 5_000);
    }),
  options,
);

test(
  "redisStore() grants all or none, and rates last",
  () =>
    withStores("redis", {}, async (redis, [one, other]) => {
      const rate = {
        limit: "connectionsPerSecondPerClient",
        key: "192.0.2.1",
        perSecond: 0.001,
      } as const;
      const full = { limit: "sessions", key: "", max: 0 } as const;
      for (let i = 0; i < 20; i++) {
        const answer = await one.acquire([{ ...slot, max: 10 }, full, rate]);
        assertEquals(answer, "sessions");
      }
      assertEquals(await redis.held(), 0);
      const answers = [];
      for (let i = 0; i < 12; i++) {
        const store = i % 2 ? one : other;
        answers.push(await store.acquire([{ ...slot, max: 20 }, rate]));
      }
      assertEquals(answers.filter((it) => it === null).length, 10);
      assertEquals(answers.at(-1), rate.limit);
      assertEquals(await redis.held(), 10);
    }),
  options,
);

/** Fails to log in, and waits as a session does before it answers. */
async function fail(store: RedisStore, client: string): Promise<void> {
  const delay = await store.failed(client);
  await new Promise((resolve) => setTimeout(resolve, delay));
}

test(
  "redisStore() locks out and unlocks clients on all nodes at once",
  () =>
    withStores(
      "redis",
      // Without heartbeats, which tell nodes of lockouts, too.
      { failedLogins: 3, lease: 600_000 },
      async (_, [one, other]) => {
        const client = "2001:db8::7";
        for (let i = 0; i < 3; i++) {
          // Each trusts the client for half a second.
          assertEquals(await one.succeeded(client), true);
          assertEquals(await other.succeeded(client), true);
          for (const it of [one, other, one]) await fail(it, client);
          assertEquals(await one.isLocked(client), true);
          assertEquals(await other.succeeded("2001:db8::8"), false);
          assertEquals(await other.isLocked(client), true);
          const [locked] = await other.locked();
          assertEquals([locked.client, locked.failed], ["2001:db8::/64", 3]);
          assert(Math.abs(locked.until - Date.now() - 300_000) < 10_000);
          await one.failed("192.0.2.1");
          assertEquals(await other.unlock(locked.client), 1);
          assertEquals(await one.isLocked(client), false);
          assertEquals(await one.succeeded(client), true);
          await one.failed("192.0.2.1");
          assertEquals(await other.unlock(), 0);
          await one.failed("192.0.2.1");
          assertEquals(one.isLocked("192.0.2.1"), false);
          await other.unlock();
        }
      },
    ),
  options,
);

test(
  "redisStore() counts failed logins on all nodes that were counted while Redis was away",
  () =>
    withStores("redis", { failedLogins: 3 }, async (redis, [one, other]) => {
      const [locked, failing, freed] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
      for (let i = 0; i < 3; i++) await other.failed(freed);
      await one.failed(locked);
      redis.signal("SIGSTOP");
      for (let i = 0; i < 2; i++) await one.failed(failing);
      for (let i = 0; i < 3; i++) await one.failed(locked);
      assertEquals(one.state.isUp, false);
      const before = (await one.locked()).map(({ client }) => client);
      assertEquals(before.includes(locked), true);
      await one.unlock(freed);
      redis.signal("SIGCONT");
      await until("Redis is used again", () => one.state.isUp);
      await until("on the other node, too", () => other.state.isUp);
      const after = (await other.locked()).map(({ client }) => client);
      assertEquals(after, [locked]);
      assertEquals(await other.succeeded(locked), false);
      assertEquals(await other.succeeded(freed), true);
      await other.failed(failing);
      assertEquals(await one.succeeded(failing), false);
      assertEquals(await other.unlock(), 2);
      assertEquals(await one.succeeded(locked), true);
    }),
  options,
);

test(
  "redisStore() learns of lockouts with a heartbeat",
  () =>
    withStores("redis", { failedLogins: 1 }, async (_, [one, other]) => {
      await until("the first heartbeats were made", async () => {
        await one.failed("192.0.2.1");
        return await other.isLocked("192.0.2.1");
      });
      await one.failed("192.0.2.2");
      await until(
        "the lockout is known",
        async () => await other.isLocked("192.0.2.2"),
      );
    }),
  options,
);

test(
  "redisStore() lets users transfer at their rate on all nodes together",
  () =>
    withStores("redis", {}, async (_, stores) => {
      let ticket = 0;
      const perSecond = 1_000_000;
      const request = { user: "al", bytes: 20_000, perSecond };
      const at = performance.now();
      // 2 MB on two nodes, after a burst of 100 ms and two loans of 250 ms.
      await Promise.all(stores.map(async (it) => {
        for (let i = 0; i < 50; i++) {
          await it.pass({ ...request, ticket: ++ticket });
        }
      }));
      const passed = performance.now() - at;
      assert(passed > 1_300 && passed < 4_000, `${passed} ms`);
    }),
  options,
);

for (const strict of [false, true]) {
  test(
    `redisStore() adds usage exactly once, also if answers are lost, ${
      strict ? "strict" : "or kept here"
    }`,
    () =>
      withStores("redis", { strict }, async (redis, [one, other]) => {
        const report = (user: string, sent: number) => (
          { user, sent, received: 2 * sent, sessions: 1 }
        );
        await other.add([report("al", 1_000)]);
        redis.signal("SIGSTOP");
        let failed = false;
        // Arrives when Redis goes on, after the store has given it up.
        await one.add([report("al", 10)]).catch(() => failed = true);
        assertEquals(failed, strict);
        redis.signal("SIGCONT");
        await until("Redis is used again", () => one.state.isUp);
        // What has failed comes again.
        await one.add([report("al", strict ? 15 : 5), report("bo", 1)]);
        await Promise.all(
          Array.from(
            { length: 50 },
            (_, i) => (i % 2 ? one : other).add([report("al", 1)]),
          ),
        );
        const [{ total, day, month }, bo] = await other.add([
          { user: "al", sent: 0, received: 0, sessions: 0 },
          { user: "bo", sent: 0, received: 0, sessions: 0 },
        ]);
        assertEquals(total, {
          sent: 1_065,
          received: 2_130,
          sessions: strict ? 52 : 53,
        });
        assertEquals([day, month], [total, total]);
        assertEquals(bo.total, { sent: 1, received: 2, sessions: 1 });
        // The periods are those of UTC.
        const key = "{socks5}:usage:'al";
        const now = new Date();
        const days = Math.floor(now.getTime() / 86_400_000);
        const known = Number(await redis.command("HGET", key, "day"));
        assert(days - known <= 1, "the day");
        await redis.command("HSET", key, "day", "1", "month", "1");
        const [later] = await one.add([report("al", 0)]);
        assertEquals([later.total.sent, later.day.sent, later.month.sent], [
          1_065,
          0,
          0,
        ]);
      }),
    options,
  );
}

for (const trusted of [false, true]) {
  test(
    `rediss:// ${trusted ? "uses" : "rejects"} a certificate that ${
      trusted ? "is" : "is not"
    } trusted`,
    () =>
      withFolder(async (folder) => {
        const { ca, server } = certificates();
        const path = (name: string) => join(folder, name);
        await writeFile(path("ca.pem"), ca.cert);
        await writeFile(path("cert.pem"), server.cert);
        await writeFile(path("key.pem"), server.key, { mode: 0o600 });
        const port = await freePort();
        const args = [
          ...["--tls-port", `${port}`, "--tls-auth-clients", "no"],
          ...["--tls-cert-file", path("cert.pem")],
          ...["--tls-key-file", path("key.pem")],
          ...["--tls-ca-cert-file", path("ca.pem")],
          ...["--requirepass", "s3cret"],
        ];
        await withRedis("redis-server", () =>
          withNodes(
            runtimes,
            {
              store: { url: `rediss://:s3cret@localhost:${port}`, lease: 900 },
              limits: {},
              shared: [],
            },
            (nodes) => {
              for (const { output } of nodes) {
                assertEquals(/^found$/m.test(output), trusted, output);
                assertEquals(output.includes("s3cret"), false);
              }
              return Promise.resolve();
            },
            trusted
              ? {
                NODE_EXTRA_CA_CERTS: path("ca.pem"),
                DENO_CERT: path("ca.pem"),
              }
              : {},
          ), ...args);
      }),
    options,
  );
}
