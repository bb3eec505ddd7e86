import { assertEquals, assertRejects } from "@std/assert";
import type { UsageReport } from "../../src/redis/mod.ts";
import { test } from "../support/harness.ts";
import {
  type ScriptedRedis,
  type ScriptedStore,
  settle,
  withStore,
} from "../support/scripted_redis.ts";

function report(user: string, sent: number, received = 0, sessions = 0) {
  return { user, sent, received, sessions };
}

/** What the last report to Redis has added. */
function added(redis: ScriptedRedis): string[] {
  return redis.of("REPORT").at(-1)!.args.slice(1);
}

const strict = { strict: true };

const ZEROS = Array.from({ length: 9 }, () => "0");

/** Answers reports, and says whether an earlier one was counted. */
function answer(redis: ScriptedRedis, counted?: boolean): void {
  const last = redis.of("REPORT").at(-1)?.args[0] ?? "0";
  redis.answer = ({ name, keys }) => {
    if (name === "REPORT") return keys.slice(1).flatMap(() => ZEROS);
    if (name === "FENCE") return counted ? last : "0";
    return name === "BEAT" ? [1, 1, [], "0"] : 0;
  };
}

/** Makes a report whose answer is lost, and finds Redis again. */
async function lose(
  { store, redis, clock }: ScriptedStore,
  reports: readonly UsageReport[],
  counted: boolean,
): Promise<void> {
  answer(redis, counted);
  const { answer: usual } = redis;
  redis.answer = (call) => {
    if (call.name === "REPORT") throw new Error("gone");
    return usual(call);
  };
  await assertRejects(() => store.add(reports), Error);
  await find({ redis, clock }, counted);
}

/** Finds Redis again. */
async function find(
  { redis, clock }: Pick<ScriptedStore, "redis" | "clock">,
  counted?: boolean,
): Promise<void> {
  answer(redis, counted);
  clock.advance(1_000);
  await settle();
}

/** Lets Redis count as it does, but without days and months. */
function count(redis: ScriptedRedis): Map<string, number> {
  const sent = new Map<string, number>();
  redis.answer = ({ name, keys, args }) => {
    if (name === "BEAT") return [1, 1, [], "0"];
    if (name !== "REPORT") return 0;
    return keys.slice(1).flatMap((key, i) => {
      const sum = (sent.get(key) ?? 0) + Number(args[3 * i + 1]);
      sent.set(key, sum);
      return [0, 3, 6].flatMap(() => [`${sum}`, "0", "0"]);
    });
  };
  return sent;
}

function gone(): never {
  throw new Error("gone");
}

test("RedisStore.add() reports all users at once, and returns their totals", () =>
  withStore({}, async ({ store, redis }) => {
    redis.answer = () => Array.from({ length: 18 }, (_, i) => `${i}`);
    const totals = await store.add([report("al", 1, 2, 3), report("b|o", 4)]);
    const [{ keys, args }] = redis.of("REPORT");
    assertEquals(keys.slice(1), ["{socks5}:usage:'al", "{socks5}:usage:'b|o"]);
    assertEquals(args, ["1", "1", "2", "3", "4", "0", "0"]);
    assertEquals(totals[1], {
      user: "b|o",
      total: { sent: 9, received: 10, sessions: 11 },
      day: { sent: 12, received: 13, sessions: 14 },
      month: { sent: 15, received: 16, sessions: 17 },
    });
  }));

test("RedisStore.add() adds nothing twice when an answer was lost", () =>
  withStore(strict, async (it) => {
    const { store, redis } = it;
    await lose(it, [report("al", 10, 5, 1)], true);
    await store.add([report("al", 13, 5, 1), report("bo", 7)]);
    assertEquals(added(redis), ["3", "0", "0", "7", "0", "0"]);
    await store.add([report("al", 2)]);
    assertEquals(added(redis), ["2", "0", "0"]);
  }));

test("RedisStore.add() adds everything when a report was lost", () =>
  withStore(strict, async (it) => {
    const { store, redis } = it;
    await lose(it, [report("al", 10, 5, 1)], false);
    await store.add([report("al", 13, 5, 1)]);
    assertEquals(added(redis), ["13", "5", "1"]);
    const [first, second] = redis.of("REPORT").map(({ args }) => args[0]);
    const fence = redis.of("FENCE")[0].args[0];
    assertEquals([first, fence, second], ["1", "2", "3"]);
  }));

test("RedisStore.add() adds nothing twice when several answers were lost", () =>
  withStore(strict, async (it) => {
    const { store, redis } = it;
    await lose(it, [report("al", 10)], true);
    await lose(it, [report("al", 15)], true);
    assertEquals(added(redis), ["5", "0", "0"]);
    await store.add([report("bo", 1)]);
    await store.add([report("al", 0)]); // which only reads
    assertEquals(added(redis), ["0", "0", "0"]);
    await store.add([report("al", 16)]);
    assertEquals(added(redis), ["1", "0", "0"]);
  }));

test("RedisStore.add() rejects while Redis is away if it is strict, without asking it", () =>
  withStore(strict, async ({ store, redis }) => {
    redis.answer = gone;
    await assertRejects(() => store.succeeded("192.0.2.1"), Error);
    await assertRejects(() => store.add([report("al", 1)]), Error);
    assertEquals(redis.of("REPORT"), []);
  }));

test("RedisStore.add() goes on from the last totals while Redis is away, and tells it later", () =>
  withStore({}, async ({ store, redis, clock }) => {
    const sent = count(redis);
    await store.add([report("al", 100), report("bo", 7)]);
    redis.answer = gone;
    // The call that finds out, and one that asks nobody.
    const [al, eve] = await store.add([report("al", 10), report("eve", 1)]);
    assertEquals([al.total.sent, al.day.sent, eve.month.sent], [110, 110, 1]);
    const [again, bo] = await store.add([report("al", 5), report("bo", 0)]);
    assertEquals([again.month.sent, bo.day.sent], [115, 7]);
    const totals = count(redis);
    for (const [key, sum] of sent) totals.set(key, sum);
    totals.set("{socks5}:usage:'al", 1_100); // another node has added 1,000
    clock.advance(1_000);
    await settle();
    assertEquals([...totals.values()], [1_115, 7, 1]);
    const [now] = await store.add([report("al", 1)]);
    assertEquals(now.total.sent, 1_116);
  }));

test("RedisStore.add() adds nothing twice when Redis has counted before it was away", () =>
  withStore({}, async ({ store, redis, clock }) => {
    answer(redis);
    const { answer: usual } = redis;
    redis.answer = (call) => call.name === "REPORT" ? gone() : usual(call);
    await store.add([report("al", 10), report("bo", 1)]);
    await store.add([report("al", 3)]);
    await find({ redis, clock }, true);
    const [{ keys }, last] = redis.of("REPORT");
    assertEquals(last.keys, keys.slice(0, 2)); // nothing is owed of bo
    assertEquals(added(redis), ["3", "0", "0"]);
  }));

test("RedisStore.close() waits until Redis knows what it has missed", async () => {
  const names: string[] = [];
  await withStore({}, async ({ store, redis, clock }) => {
    answer(redis);
    const { answer: usual } = redis;
    redis.answer = gone;
    await store.add(Array.from({ length: 300 }, (_, i) => report(`u${i}`, 1)));
    let go!: () => void;
    const slow = new Promise<void>((resolve) => go = resolve);
    redis.answer = async (call) => {
      if (call.name === "REPORT") await slow;
      names.push(call.name);
      return usual(call);
    };
    clock.advance(1_000);
    await settle();
    const closed = store.close();
    await settle();
    go();
    await closed;
    await assertRejects(() => store.add([report("al", 1)]), Error, "closed");
  });
  assertEquals(names.slice(-3), ["REPORT", "REPORT", "LEAVE"]);
});

test("RedisStore.add() reports many users by several calls, and all or none if it is strict", () =>
  withStore(strict, async ({ store, redis, clock }) => {
    const sent = count(redis);
    const { answer: usual } = redis;
    const many = Array.from({ length: 500 }, (_, i) => report(`u${i}`, 1));
    let left = 2;
    redis.answer = (call) =>
      call.name === "REPORT" && left-- === 0 ? gone() : usual(call);
    await assertRejects(() => store.add(many), Error);
    redis.answer = usual;
    clock.advance(1_000);
    await settle();
    const totals = await store.add(many);
    assertEquals(totals.map(({ user }) => user), many.map(({ user }) => user));
    assertEquals([...sent.values()], many.map(() => 1));
    for (const { keys } of redis.of("REPORT")) {
      assertEquals(keys.length <= 201, true);
    }
  }));
