import { assert, assertEquals, assertRejects } from "@std/assert";
import { type LimitRequest, redisStore } from "../../src/redis/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { test } from "../support/harness.ts";
import { settle, withStore } from "../support/scripted_redis.ts";
import { deferred } from "../support/world.ts";

const slot = { limit: "sessionsPerUser", key: "al" } as const;
const other = { limit: "sessionsPerClient", key: "192.0.2.1" } as const;
const rate = {
  limit: "connectionsPerSecondPerClient",
  key: "192.0.2.1",
  perSecond: 5,
} as const;
const AL = "sessionsPerUser|'al";

function request(max: number): LimitRequest[] {
  return [{ ...slot, max }];
}

test("redisStore() asks for all slots and rates of a request at once", () =>
  withStore({}, async ({ store, redis }) => {
    const requests = [{ ...slot, max: 3 }, rate, { ...other, max: 2 }];
    assertEquals(await store.acquire(requests), null);
    const [{ keys, args }] = redis.of("MOVE");
    assertEquals(keys, [
      "{socks5}:totals",
      "{socks5}:nodes",
      "{socks5}:held:here",
      ...["{socks5}:failing", "{socks5}:failures", "{socks5}:locked"],
      "{socks5}:rate:connectionsPerSecondPerClient|'192.0.2.1",
    ]);
    const [prefix, node, token, ...rest] = args;
    assertEquals([prefix, node], ["{socks5}:held:", "here"]);
    assertEquals(token, redis.of("DECLARE")[0].args[2]);
    assertEquals(rest, [
      ...["0", "0", "1"],
      ...["2", AL, "3", "sessionsPerClient|'192.0.2.1", "2"],
      ...["1", "200", "2000"],
    ]);
    for (const [reply, limit] of [[1, slot], [2, other], [3, rate]] as const) {
      redis.answer = () => reply;
      assertEquals(await store.acquire(requests), limit.limit);
    }
  }));

test("redisStore() sends releases together, or with the next request", () =>
  withStore({}, async ({ store, redis, clock }) => {
    for (let i = 0; i < 4; i++) await store.acquire(request(9));
    store.release(slot);
    store.release(slot);
    await settle();
    assertEquals(redis.of("MOVE").length, 4);
    clock.advance(5);
    await settle();
    assertEquals(redis.of("MOVE")[4].args.slice(3), ["1", AL, "-2", "0", "0"]);
    store.release(slot);
    await store.acquire(request(8));
    const sent = redis.of("MOVE")[5].args.slice(3);
    assertEquals(sent, ["1", AL, "-1", "0", "1", "1", AL, "8", "0"]);
    clock.advance(5);
    await settle();
    assertEquals(redis.of("MOVE").length, 6);
  }));

test("redisStore() takes back a release that Redis does not know of, for 20 ms", () =>
  withStore({}, async ({ store, redis, clock }) => {
    const moves = () => redis.of("MOVE").length;
    const grant = async (max: number) =>
      assertEquals(await store.acquire(request(max)), null);
    await grant(9);
    for (let i = 0; i < 3; i++) {
      store.release(slot);
      await grant(9);
      // The flush of releases finds none.
      clock.advance(5);
      await settle();
    }
    assertEquals(moves(), 1);
    // One slot, and not two.
    store.release(slot);
    await Promise.all([grant(9), grant(9)]);
    assertEquals(redis.of("MOVE")[1].args.slice(3), [
      ...["0", "0", "1"],
      ...["1", AL, "9", "0"],
    ]);
    // With another limit, the answer may be another one.
    store.release(slot);
    await grant(1);
    assertEquals(redis.of("MOVE")[2].args.slice(3, 6), ["1", AL, "-1"]);
    // After 20 ms, Redis has to say whether the limit is exceeded.
    clock.advance(5);
    store.release(slot);
    await grant(1);
    assertEquals(redis.of("MOVE")[3].args.slice(3, 6), ["1", AL, "-1"]);
  }));

test("redisStore() takes back no release while Redis is away", () =>
  withStore({ strict: true }, async ({ store, redis }) => {
    await store.acquire(request(9));
    store.release(slot);
    redis.answer = () => {
      throw new Error("gone");
    };
    await assertRejects(() => store.failed("192.0.2.1"), Error, "gone");
    await assertRejects(async () => await store.acquire(request(9)), Error);
  }));

test("redisStore() sends a release within 10 ms that is not taken back", () =>
  withStore({}, async ({ store, redis, clock }) => {
    for (let i = 0; i < 2; i++) await store.acquire(request(9));
    store.release(slot);
    await store.acquire(request(9));
    store.release(slot);
    clock.advance(5);
    await settle();
    assertEquals(redis.of("MOVE").length, 2);
    clock.advance(5);
    await settle();
    assertEquals(redis.of("MOVE")[2].args.slice(3), [
      ...["1", AL, "-1"],
      ...["0", "0"],
    ]);
  }));

test("redisStore() sends the requests of a turn together", () =>
  withStore({}, async ({ store, redis }) => {
    const asked = [store.acquire(request(9)), store.acquire([rate])];
    assertEquals(await Promise.all(asked), [null, null]);
    const [{ keys, args }] = redis.of("MOVE");
    assertEquals(args.slice(3), [
      ...["0", "0", "2"],
      ...["1", AL, "9", "0"],
      ...["0", "1", "200", "2000"],
    ]);
    assertEquals([keys.length, redis.of("MOVE").length], [7, 1]);
  }));

test("redisStore() releases no slot that it does not hold", () =>
  withStore({}, async ({ store, redis, clock }) => {
    store.release(slot);
    clock.advance(5);
    await settle();
    assertEquals(redis.of("MOVE"), []);
  }));

test("redisStore() counts slots beyond the limit", () =>
  withStore({}, async ({ store, redis, clock }) => {
    store.forceAcquire(slot, 7);
    clock.advance(5);
    await settle();
    assertEquals(redis.of("MOVE")[0].args.slice(3), ["1", AL, "7", "0", "0"]);
  }));

test("redisStore() declares what it holds when Redis has forgotten the node, and asks again", () =>
  withStore({}, async ({ store, redis }) => {
    await store.acquire(request(9));
    await store.acquire(request(9));
    let isKnown = false;
    redis.answer = ({ name }) => {
      if (name === "DECLARE") isKnown = true;
      return name === "MOVE" && !isKnown ? -1 : 0;
    };
    assertEquals(await store.acquire(request(9)), null);
    const [first, second] = redis.of("DECLARE").map((it) => it.args);
    assertEquals(second.slice(3), ["3000", AL, "2"]);
    assert(first[2] !== second[2], "the token is a new one");
    assertEquals(redis.of("MOVE").at(-1)!.args[2], second[2]);
  }));

test("redisStore() fails for a node whose name another one uses", () =>
  withStore({}, async ({ store, redis }) => {
    redis.answer = ({ name }) => name === "MOVE" ? -1 : 0;
    await assertRejects(
      async () => await store.acquire(request(9)),
      Error,
      "another node has the name here",
    );
  }));

test("redisStore() declares after the answers to earlier requests", () =>
  withStore({ lease: 600 }, async ({ store, redis, clock }) => {
    const late = deferred<number>();
    redis.answer = ({ name }) =>
      name === "MOVE" ? late.promise : name === "BEAT" ? [0] : 0;
    const first = store.acquire(request(9));
    await settle();
    clock.advance(200);
    await settle();
    assertEquals([redis.of("BEAT").length, redis.of("DECLARE").length], [1, 1]);
    late.resolve(0);
    assertEquals(await first, null);
    await settle();
    assertEquals(redis.of("DECLARE")[1].args.slice(3), ["600", AL, "1"]);
  }));

test("redisStore() sends requests after the answer to earlier ones", () =>
  withStore({}, async ({ store, redis }) => {
    const late = deferred<number>();
    redis.answer = ({ name }) => name === "MOVE" ? late.promise : 0;
    const asked = [store.acquire(request(9))];
    await settle();
    for (let i = 0; i < 2; i++) {
      asked.push(store.acquire(request(9)));
      await settle();
    }
    assertEquals(redis.of("MOVE").length, 1);
    late.resolve(0);
    assertEquals(await Promise.all(asked), [null, null, null]);
    assertEquals(redis.of("MOVE").length, 2);
  }));

test("redisStore() asks seldom while many requests come", () =>
  withStore({}, async ({ store, redis, clock }) => {
    const ask = () => store.acquire(request(9));
    await Promise.all([ask(), ask()]);
    const asked = [ask()];
    await settle();
    asked.push(ask());
    await settle();
    assertEquals(redis.of("MOVE").length, 1);
    clock.advance(4);
    assertEquals(await Promise.all(asked), [null, null]);
    assertEquals(redis.of("MOVE").length, 2);
    const last = ask();
    await settle();
    await store.close();
    assertEquals(await last, null);
    assertEquals(redis.calls.map(({ name }) => name).slice(-2), [
      "MOVE",
      "LEAVE",
    ]);
  }));

test("redisStore() declares when a heartbeat finds calls missing", () =>
  withStore({}, async ({ store, redis, clock }) => {
    await store.acquire(request(9));
    clock.advance(1_000);
    await settle();
    const [{ args }] = redis.of("BEAT");
    assertEquals(args.slice(1), ["here", args[2], "1", "3000", ""]);
    redis.answer = ({ name }) => name === "BEAT" ? [0] : 0;
    clock.advance(1_000);
    await settle();
    assertEquals(redis.of("DECLARE")[1].args.slice(3), ["3000", AL, "1"]);
    redis.recover();
    clock.advance(1_000);
    await settle();
    assertEquals(redis.of("BEAT").at(-1)!.args[3], "0");
  }));

test("redisStore() counts for itself while Redis does not answer, and declares it afterwards", () =>
  withStore({}, async ({ store, redis, clock, changes }) => {
    await store.acquire(request(3));
    redis.hang();
    const waiting = [store.acquire(request(3)), store.acquire(request(3))];
    await settle();
    clock.advance(500);
    clock.advance(49);
    await settle();
    assertEquals(changes, ["found"]);
    clock.advance(1);
    assertEquals(await Promise.all(waiting), [null, null]);
    assertEquals(changes, ["found", "lost: no answer within 500 ms"]);
    const { length } = redis.calls;
    assertEquals(await store.acquire(request(3)), "sessionsPerUser");
    store.release(slot);
    assertEquals(await store.acquire(request(3)), null);
    assertEquals(redis.calls.length, length, "Redis was asked");
    assertEquals(store.state, { isUp: false, errors: 1 });

    // The first heartbeat does not find it, either.
    clock.advance(1_000);
    await settle();
    clock.advance(500);
    clock.advance(50);
    await settle();
    assertEquals(store.state, { isUp: false, errors: 2 });
    redis.recover();
    clock.advance(1_000);
    await settle();
    assertEquals(redis.of("DECLARE").at(-1)!.args.slice(3), ["3000", AL, "3"]);
    assertEquals(changes.slice(2), ["found"]);
    assertEquals(store.state.isUp, true);
  }));

test("redisStore() sends what changes while it declares", () =>
  withStore({}, async ({ store, redis, clock }) => {
    redis.hang();
    const waiting = store.acquire(request(9));
    await settle();
    clock.advance(500);
    clock.advance(50);
    await waiting;
    const declared = deferred<number>();
    redis.answer = ({ name }) =>
      name === "DECLARE"
        ? declared.promise
        : name === "BEAT"
        ? [1, 1, [], "0"]
        : 0;
    clock.advance(1_000);
    await settle();
    assertEquals(redis.of("DECLARE")[1].args.slice(4), [AL, "1"]);
    assertEquals(await store.acquire(request(9)), null);
    declared.resolve(0);
    await settle();
    clock.advance(5);
    await settle();
    assertEquals(redis.of("MOVE").at(-1)!.args.slice(3), [
      "1",
      AL,
      "1",
      "0",
      "0",
    ]);
  }));

test("redisStore() does not wait for Redis after one call has failed", () =>
  withStore({}, async ({ store, redis, changes }) => {
    redis.hang();
    const waiting = store.acquire(request(9));
    await settle();
    redis.answer = () => {
      throw new Error("READONLY You can't write against a read only replica.");
    };
    await store.failed("192.0.2.1");
    assertEquals(await waiting, null);
    assertEquals(changes.length, 2);
  }));

test("redisStore() lets no request wait while Redis does not answer, not even for an attempt to reach it", () =>
  withStore({ failedLogins: 3 }, async ({ store, redis, clock }) => {
    redis.hang();
    const waiting = store.acquire(request(9));
    await settle();
    clock.advance(500);
    clock.advance(50);
    await waiting;
    const before = redis.calls.length;
    const askAll = async () => {
      let answers = 0;
      const client = "192.0.2.1";
      const usage = { user: "al", sent: 1, received: 1, sessions: 1 };
      const pass = { ticket: 1, user: "al", bytes: 1, perSecond: 1_000 };
      for (
        const answer of [
          store.acquire(request(9)),
          store.acquire([rate]),
          store.isLocked(client),
          store.succeeded(client),
          store.failed(client),
          store.pass(pass),
          store.add([usage]),
          store.locked(),
          store.unlock(),
        ]
      ) void Promise.resolve(answer).then(() => answers++);
      // Without any time that passes.
      await settle();
      assertEquals(answers, 9);
    };
    await askAll();
    assertEquals(redis.calls.length, before, "Redis was asked");
    // The heartbeat tries to reach Redis, which hangs.
    clock.advance(1_000);
    await settle();
    const [, tried] = redis.of("DECLARE");
    assertEquals([redis.calls.length, redis.calls.at(-1)], [before + 1, tried]);
    await askAll();
    assertEquals(redis.calls.length, before + 1, "Redis was asked");
  }));

test("redisStore() limits rates by itself while Redis is away", () =>
  withStore({}, async ({ store, redis }) => {
    redis.answer = () => {
      throw new Error("gone");
    };
    const answers = [];
    for (let i = 0; i < 11; i++) answers.push(await store.acquire([rate]));
    assertEquals(answers.filter((it) => it === null).length, 10);
    assertEquals(answers[10], rate.limit);
  }));

test("redisStore() with strict refuses requests while Redis is away", () =>
  withStore({ strict: true }, async ({ store, redis }) => {
    await store.acquire(request(9));
    redis.answer = () => {
      throw new Error("gone");
    };
    for (let i = 0; i < 2; i++) {
      await assertRejects(async () => await store.acquire(request(9)), Error);
    }
    await assertRejects(() => store.failed("192.0.2.1"), Error);
    await assertRejects(() => store.succeeded("192.0.2.1"), Error);
    const pass = { ticket: 1, user: "al", bytes: 1, perSecond: 1 };
    await assertRejects(async () => await store.pass(pass), Error);
    store.release(slot);
  }));

test("redisStore() starts without Redis, and its first requests wait for one attempt", async () => {
  const first = deferred<void>();
  const changes: string[] = [];
  const client = {
    async send() {
      await first.promise;
      throw new Error("gone");
    },
  };
  const store = redisStore({
    client,
    clock: new FakeClock(),
    onLost: ({ message }) => changes.push(message),
  });
  const answers: unknown[] = [];
  const asked = Promise.resolve(store.acquire(request(1)))
    .then((it) => answers.push(it));
  await settle();
  assertEquals(answers, []);
  first.resolve();
  await asked;
  assertEquals(answers, [null]);
  assertEquals(await store.acquire(request(1)), "sessionsPerUser");
  await assertRejects(() => store.ready, Error, "gone");
  assertEquals([changes, store.state], [["gone"], { isUp: false, errors: 1 }]);
  await store.close();
});

test("RedisStore.close() releases everything", async () => {
  let left: readonly string[] = [];
  await withStore({}, async ({ store, redis }) => {
    await store.acquire(request(9));
    await store.close();
    await store.close();
    left = redis.of("LEAVE")[0].args;
    assertEquals(redis.of("LEAVE").length, 1);
  });
  assertEquals(left[0], "here");
});
