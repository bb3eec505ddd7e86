import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { redisStore } from "../../src/redis/mod.ts";
import { test } from "../support/harness.ts";
import { settle, withStore } from "../support/scripted_redis.ts";
import { deferred } from "../support/world.ts";

const client = "2001:db8:0:7::1";
const KEY = "'2001:db8:0:7::/64";

test("RedisStore.failed() counts in Redis, and delays answers as Lockout does", () =>
  withStore(
    { failedLogins: 6, lockout: 60_000 },
    async ({ store, redis }) => {
      const delays = [];
      for (const count of [1, 2, 3, 4, 5]) {
        redis.answer = () => [count, 0, 0];
        delays.push(await store.failed(client));
      }
      assertEquals(delays, [0, 0, 250, 500, 1_000]);
      assertEquals(redis.of("FAILED")[0], {
        name: "FAILED",
        keys: [
          "{socks5}:failing",
          "{socks5}:failures",
          "{socks5}:locked",
          `{socks5}:trusted:${KEY}`,
          redis.of("FAILED")[0].keys[4],
        ],
        args: [KEY, "6", "60000", "10000", "0", "1"],
      });
      assertEquals(store.isLocked(client), false);
    },
  ));

test("RedisStore.isLocked() remembers a lockout that Redis reports, until it ends", () =>
  withStore({}, async ({ store, redis, clock }) => {
    // Another node trusts the client for so long.
    redis.answer = () => [0, 60_000, 120];
    assertEquals(await store.failed(client), 120);
    redis.answer = () => 60_000;
    assertEquals(await store.isLocked("2001:db8:0:7::2"), true);
    assertEquals(store.isLocked("2001:db8:0:8::1"), false);
    assertEquals(await store.succeeded(client), false);
    assertEquals(redis.logins(), [[KEY, ""], [KEY, ""]]);
    clock.advance(59_999);
    assertEquals(await store.isLocked(client), true);
    clock.advance(1);
    assertEquals(store.isLocked(client), false);
  }));

test("RedisStore.isLocked() finds that another node has unlocked the client", () =>
  withStore({}, async ({ store, redis }) => {
    redis.answer = () => [0, 60_000, 0];
    await store.failed(client);
    redis.recover();
    assertEquals(await store.isLocked(client), false);
    assertEquals(await store.succeeded(client), true);
    assertEquals(redis.logins(), [[KEY, ""], [KEY, "500"]]);
  }));

test("RedisStore.isLocked() learns with each heartbeat which clients others have locked out", () =>
  withStore({}, async ({ store, redis, clock }) => {
    const beats = [
      [1, 5_000, [], "0"],
      [1, 6_000, [KEY, "66000", "'192.0.2.1", "67000"], "0"],
      [1, 7_000, [], "0"],
    ];
    redis.answer = ({ name }) => name === "BEAT" ? beats.shift() : 60_000;
    for (const locked of [false, true, true]) {
      clock.advance(1_000);
      await settle();
      assertEquals(await store.isLocked(client), locked);
    }
    const since = redis.of("BEAT").map(({ args }) => args[5]);
    assertEquals(since, ["", "5000", "67000"]);
    assertEquals(await store.isLocked("192.0.2.1"), true);
  }));

test("RedisStore.isLocked() follows when another node unlocks clients", () =>
  withStore({}, async ({ store, redis, clock }) => {
    const beats = [
      [1, 5_000, [], "3"],
      [1, 6_000, [KEY, "66000", "'192.0.2.1", "67000"], "3"],
      [1, 7_000, [], "4"],
      [1, 8_000, ["'192.0.2.1", "67000"], "4"],
    ];
    redis.answer = ({ name }) => name === "BEAT" ? beats.shift() : 60_000;
    const locked: boolean[][] = [];
    for (let i = 0; i < 4; i++) {
      clock.advance(1_000);
      await settle();
      const asked = [client, "192.0.2.1"].map((it) => store.isLocked(it));
      locked.push(await Promise.all(asked));
    }
    assertEquals(locked.slice(1), [
      [true, true],
      [false, false],
      [false, true],
    ]);
    assertEquals(redis.of("BEAT").at(-1)!.args[5], "7000");
  }));

test("RedisStore.locked() and unlock() speak of all nodes", () =>
  withStore({ failedLogins: 3 }, async ({ store, redis }) => {
    redis.answer = ({ name }) =>
      name === "LOCKED"
        ? [1_000, [KEY, "61000"]]
        : name === "FAILED"
        ? [0, 9, 0]
        : 1;
    await store.failed(client);
    const before = Date.now();
    const [found] = await store.locked();
    assertEquals([found.client, found.failed], ["2001:db8:0:7::/64", 3]);
    assert(found.until >= before + 60_000);
    assertEquals(await store.unlock(found.client), 1);
    assertEquals(redis.of("UNLOCK")[0].args, [KEY]);
    assertEquals(store.isLocked(client), false);
    await store.unlock();
    assertEquals(redis.of("UNLOCK")[1].args, []);
  }));

test("RedisStore.failed() locks out no text that stands for many clients", () =>
  withStore({ failedLogins: 1 }, async ({ store, redis }) => {
    const many = "unix:/run/socks";
    for (let i = 0; i < 3; i++) await store.failed(many);
    assertEquals([store.isLocked(many), await store.succeeded(many)], [
      false,
      true,
    ]);
    assertEquals(redis.of("FAILED").length + redis.of("MOVE").length, 0);
  }));

test("RedisStore.succeeded() refuses a client that another node has locked out", () =>
  withStore({}, async ({ store, redis }) => {
    redis.answer = () => 60_000;
    assertEquals(await store.succeeded(client), false);
    assertEquals(await store.isLocked(client), true);
  }));

test("RedisStore.succeeded() asks about a client once in half a second, and again after a failure", () =>
  withStore({}, async ({ store, redis, clock }) => {
    const asked = async () => {
      assertEquals(await store.succeeded(client), true);
      return redis.logins().length;
    };
    assertEquals([await asked(), await asked()], [1, 1]);
    clock.advance(499);
    assertEquals(await asked(), 1);
    clock.advance(1);
    await settle();
    assertEquals(await asked(), 2);
    await store.failed(client);
    assertEquals(await asked(), 3);
  }));

test("RedisStore asks about logins and slots of a turn together", () =>
  withStore({}, async ({ store, redis }) => {
    const slot = { limit: "sessionsPerUser", key: "al", max: 9 } as const;
    const answers = await Promise.all([
      store.acquire([slot]),
      store.succeeded("192.0.2.1"),
    ]);
    assertEquals(answers, [null, true]);
    const [{ keys, args }] = redis.of("MOVE");
    assertEquals(args.slice(3), [
      ...["0", "1", "'192.0.2.1", "500"],
      ...["1", "1", "sessionsPerUser|'al", "9", "0"],
    ]);
    assertEquals(keys.slice(3), [
      ...["{socks5}:failing", "{socks5}:failures", "{socks5}:locked"],
      "{socks5}:trusted:'192.0.2.1",
    ]);
    assertEquals(redis.of("MOVE").length, 1);
  }));

test("RedisStore tells Redis which logins have failed while it was away", () =>
  withStore({ failedLogins: 2 }, async ({ store, redis, clock }) => {
    redis.answer = () => {
      throw new Error("gone");
    };
    for (let i = 0; i < 2; i++) await store.failed(client);
    await store.failed("192.0.2.1");
    await store.failed("192.0.2.2");
    assertEquals(await store.succeeded("192.0.2.2"), true);
    clock.advance(100);
    const locked = (await store.locked()).map((it) => it.client);
    assertEquals(locked, ["2001:db8:0:7::/64"]);
    redis.answer = ({ name }) =>
      name === "FAILED" ? [0, 299_000, 0] : name === "MOVE" ? 299_000 : 0;
    const before = redis.of("FAILED").length;
    clock.advance(900);
    await settle();
    const told = redis.of("FAILED").slice(before).map(({ args }) => [
      args[0],
      ...args.slice(4),
    ]);
    assertEquals(told, [
      [KEY, "1000", "6"],
      [KEY, "1000", "7"],
      ["'192.0.2.1", "1000", "8"],
    ]);
    assertEquals(store.state.isUp, true);
    // From now on, Redis decides.
    assertEquals(await store.isLocked(client), true);
    redis.recover();
    assertEquals(await store.isLocked(client), false);
    clock.advance(1_000);
    await settle();
    assertEquals(redis.of("FAILED").length, before + 3);
  }));

test("RedisStore.unlock() has its effect on all nodes when Redis is back", () =>
  withStore({ failedLogins: 2 }, async ({ store, redis, clock }) => {
    redis.answer = () => [0, 60_000, 0];
    await store.failed(client);
    redis.answer = () => {
      throw new Error("gone");
    };
    await store.failed("192.0.2.1");
    assertEquals(await store.unlock(client), 1);
    assertEquals(await store.unlock("192.0.2.1"), 0);
    assertEquals([store.isLocked(client), await store.locked()], [false, []]);
    redis.recover();
    const { length } = redis.calls;
    clock.advance(1_000);
    await settle();
    const told = redis.calls.slice(length).map(({ name, args }) => [
      name,
      args[0],
    ]);
    assertEquals(told.slice(1, 4), [
      ["UNLOCK", KEY],
      ["UNLOCK", "'192.0.2.1"],
      ["BEAT", "{socks5}:held:"],
    ]);
  }));

test("RedisStore counts failed logins by itself while Redis is away", () =>
  withStore({ failedLogins: 2 }, async ({ store, redis }) => {
    redis.answer = () => {
      throw new Error("gone");
    };
    assertEquals(await store.succeeded(client), true);
    for (let i = 0; i < 2; i++) await store.failed(client);
    assertEquals(store.isLocked(client), true);
    assertEquals(await store.succeeded(client), false);
  }));

test("RedisStore.setLockout() changes how failed logins are counted", () =>
  withStore({}, async ({ store, redis }) => {
    store.setLockout({ failedLogins: 4, lockout: 5_000 });
    await store.failed(client);
    assertEquals(redis.of("FAILED")[0].args.slice(1, 4), [
      ...["4", "5000", "10000"],
    ]);
    store.setLockout({ lockout: 0 });
    assertEquals(await store.failed(client), 0);
    assertEquals(redis.of("FAILED").length, 1);
    assertThrows(() => store.setLockout({ lockout: -1 }), TypeError);
  }));

test("RedisStore.setLockout() with the same options unlocks no client while Redis is away", () =>
  withStore({ failedLogins: 2 }, async ({ store, redis }) => {
    redis.answer = () => {
      throw new Error("gone");
    };
    for (let i = 0; i < 3; i++) await store.failed(client);
    store.setLockout({ failedLogins: 2, lockout: 300_000 });
    assertEquals(store.isLocked(client), true);
    store.setLockout({ failedLogins: 3 });
    assertEquals(store.isLocked(client), false);
  }));

test("redisStore() rejects options that make no sense", async () => {
  const send = () => Promise.resolve(0);
  const bad = [
    {},
    { url: "redis://127.0.0.1", client: { send } },
    { client: { send }, lease: 299 },
    { client: { send }, timeout: 0 },
    { client: { send }, failedLogins: 1.5 },
  ];
  for (const options of bad) {
    await assertRejects(
      // deno-lint-ignore require-await
      async () => redisStore(options),
      TypeError,
    );
  }
});

test("RedisStore forgets no failed login that was never sent, whatever calls get no answer", () =>
  withStore({ failedLogins: 9 }, async ({ store, redis, clock }) => {
    const gone = () => {
      throw new Error("gone");
    };
    redis.answer = gone;
    await store.failed("192.0.2.1");
    await store.failed("192.0.2.1"); // not sent
    // The first fence arrives, but its answer does not; the second one does not arrive.
    let last = "0";
    for (const arrives of [true, false]) {
      redis.answer = ({ name, args }) => {
        if (name !== "FENCE") return 0;
        if (arrives) last = args[0];
        return gone();
      };
      clock.advance(1_000);
      await settle();
    }
    redis.answer = ({ name }) =>
      name === "FENCE" ? last : name === "FAILED" ? [1, 0, 0] : 0;
    const before = redis.of("FAILED").length;
    clock.advance(1_000);
    await settle();
    assertEquals(redis.of("FAILED").length - before, 2);
  }));

test("RedisStore forgets no failed login of the time in which it tells Redis of others", () =>
  withStore({ failedLogins: 9 }, async ({ store, redis, clock }) => {
    const gone = () => {
      throw new Error("gone");
    };
    redis.answer = gone;
    await store.failed("192.0.2.1");
    await store.failed("192.0.2.2");
    let last = "0";
    redis.answer = async ({ name, args }) => {
      if (name === "FENCE") return last;
      if (name !== "FAILED") return 0;
      last = args[5]; // counted, but without an answer for the second one
      if (args[0] !== "'192.0.2.1") return gone();
      await store.failed("192.0.2.3");
      return [1, 0, 0];
    };
    clock.advance(1_000);
    await settle();
    redis.answer = ({ name }) =>
      name === "FENCE" ? last : name === "FAILED" ? [1, 0, 0] : 0;
    const before = redis.of("FAILED").length;
    clock.advance(1_000);
    await settle();
    const told = redis.of("FAILED").slice(before).map(({ args }) => args[0]);
    assertEquals(told, ["'192.0.2.3"]);
  }));

test("RedisStore uses Redis again however many logins fail meanwhile", () =>
  withStore({}, async ({ store, redis, clock }) => {
    redis.answer = () => {
      throw new Error("gone");
    };
    for (const it of [1, 2, 3]) await store.failed(`192.0.2.${it}`);
    const answers = deferred<void>();
    let last = 3;
    const before = redis.of("FAILED").length;
    const asked = () => redis.of("FAILED").length - before;
    redis.answer = async ({ name }) => {
      if (name === "BEAT") return [1, 1, [], "0"];
      if (name !== "FAILED") return 0;
      if (asked() > 1) await answers.promise;
      if (!store.state.isUp && last < 1_000) {
        await store.failed(`198.51.${++last >> 8}.${last & 255}`);
      }
      return [1, 0, 0];
    };
    clock.advance(1_000);
    await settle();
    assertEquals(asked(), 3); // the last two at the same time
    answers.resolve();
    await settle();
    assertEquals([asked(), last, store.state.isUp], [6, 6, true]);
  }));
