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
  answer(redis, counted);
  clock.advance(1_000);
  await settle();
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
  withStore({}, async (it) => {
    const { store, redis } = it;
    await lose(it, [report("al", 10, 5, 1)], true);
    await store.add([report("al", 13, 5, 1), report("bo", 7)]);
    assertEquals(added(redis), ["3", "0", "0", "7", "0", "0"]);
    await store.add([report("al", 2)]);
    assertEquals(added(redis), ["2", "0", "0"]);
  }));

test("RedisStore.add() adds everything when a report was lost", () =>
  withStore({}, async (it) => {
    const { store, redis } = it;
    await lose(it, [report("al", 10, 5, 1)], false);
    await store.add([report("al", 13, 5, 1)]);
    assertEquals(added(redis), ["13", "5", "1"]);
    const [first, second] = redis.of("REPORT").map(({ args }) => args[0]);
    const fence = redis.of("FENCE")[0].args[0];
    assertEquals([first, fence, second], ["1", "2", "3"]);
  }));

test("RedisStore.add() adds nothing twice when several answers were lost", () =>
  withStore({}, async (it) => {
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

test("RedisStore.add() reports many users in several calls, and nothing twice when one fails", () =>
  withStore({}, async ({ store, redis, clock }) => {
    const reports = Array.from({ length: 1_001 }, (_, i) => report(`${i}`, 2));
    answer(redis, false);
    const { answer: usual } = redis;
    redis.answer = (call) => {
      if (redis.of("REPORT").length === 2) throw new Error("gone");
      return usual(call);
    };
    await assertRejects(() => store.add(reports), Error);
    answer(redis, false);
    clock.advance(1_000);
    await settle();
    assertEquals((await store.add(reports)).length, 1_001);
    const calls = redis.of("REPORT").map(({ args }) => args.slice(1));
    assertEquals(calls.map((it) => it.length / 3), [500, 500, 500, 500, 1]);
    const sums = calls.map((it) => it.reduce((sum, n) => sum + Number(n), 0));
    assertEquals(sums, [1_000, 1_000, 0, 1_000, 2]);
  }));

test("RedisStore.add() rejects while Redis is away, without asking it", () =>
  withStore({}, async ({ store, redis }) => {
    redis.answer = () => {
      throw new Error("gone");
    };
    await store.succeeded("192.0.2.1");
    await assertRejects(() => store.add([report("al", 1)]), Error);
    assertEquals(redis.of("REPORT"), []);
  }));
