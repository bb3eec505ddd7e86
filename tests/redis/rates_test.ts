import { assertEquals } from "@std/assert";
import type { RedisStore } from "../../src/redis/mod.ts";
import { test } from "../support/harness.ts";
import { settle, withStore } from "../support/scripted_redis.ts";

const perSecond = 1_000;
let lastTicket = 0;

/** Lets bytes pass, and records when they have. */
function pass(
  store: RedisStore,
  passed: string[],
  name: string,
  bytes: number,
): number {
  const ticket = ++lastTicket;
  Promise.resolve(store.pass({ ticket, user: "al", bytes, perSecond })).then(
    () => passed.push(name),
    () => passed.push(`${name} failed`),
  );
  return ticket;
}

test("RedisStore.pass() borrows 250 ms' worth of bytes at a time", () =>
  withStore({}, async ({ store, redis }) => {
    const passed: string[] = [];
    for (const name of "abcde") pass(store, passed, name, 50);
    await settle();
    assertEquals(passed.join(""), "abcde");
    const call = { name: "BORROW", keys: ["{socks5}:pass:'al"] } as const;
    const args = ["250", "1000", "100"];
    assertEquals(redis.of("BORROW"), [{ ...call, args }]);
    pass(store, passed, "f", 400);
    await settle();
    assertEquals(redis.of("BORROW")[1].args[0], "400");
  }));

test("RedisStore.pass() waits as long as Redis says, first come, first served", () =>
  withStore({}, async ({ store, redis, clock }) => {
    redis.answer = ({ name }) => name === "BORROW" ? 300 : 0;
    const passed: string[] = [];
    pass(store, passed, "a", 200);
    const ticket = pass(store, passed, "b", 50);
    pass(store, passed, "c", 50);
    await settle();
    clock.advance(299);
    await settle();
    assertEquals(passed, []);
    store.cancel(ticket);
    await settle();
    assertEquals(passed, ["b"]);
    clock.advance(1);
    await settle();
    assertEquals(passed, ["b", "a", "c"]);
    assertEquals(redis.of("BORROW").length, 1);
  }));

test("RedisStore.pass() keeps the rate of this node while Redis is away", () =>
  withStore({}, async ({ store, redis, clock }) => {
    redis.answer = () => {
      throw new Error("gone");
    };
    const passed: string[] = [];
    for (let i = 0; i < 20; i++) pass(store, passed, `${i}`, 50);
    await settle();
    const counts = [passed.length];
    for (let i = 0; i < 3; i++) {
      clock.advance(250);
      await settle();
      counts.push(passed.length);
    }
    // A burst of 100 ms, and then 250 bytes in 250 ms.
    assertEquals(counts, [5, 10, 15, 20]);
  }));

test("RedisStore.pass() remembers no user who does not transfer", () =>
  withStore({}, async ({ store, redis, clock }) => {
    const passed: string[] = [];
    pass(store, passed, "a", 50);
    await settle();
    for (let i = 0; i < 4; i++) {
      clock.advance(1_000);
      await settle();
    }
    // What was left of the loan is gone.
    pass(store, passed, "b", 50);
    await settle();
    assertEquals(redis.of("BORROW").length, 2);
  }));

test("RedisStore.close() ends waits", async () => {
  const passed: string[] = [];
  await withStore({}, async ({ store, redis }) => {
    redis.answer = ({ name }) => name === "BORROW" ? 60_000 : 0;
    pass(store, passed, "a", 50);
    await settle();
  });
  assertEquals(passed, ["a"]);
});
