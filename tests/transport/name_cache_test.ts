import { assertEquals, assertRejects } from "@std/assert";
import { NameCache } from "../../src/transport/name_cache.ts";
import { test } from "../harness.ts";

function counting() {
  const asked: string[] = [];
  const lookup = (name: string) => {
    asked.push(name);
    return Promise.resolve("192.0.2.1");
  };
  return { asked, lookup };
}

test("NameCache asks again when an answer is old", async () => {
  const { asked, lookup } = counting();
  const cache = new NameCache(lookup, { lifetime: 0 });
  for (const _ of [1, 2]) await cache.get("a");
  assertEquals(asked, ["a", "a"]);
});

test("NameCache forgets the oldest of too many", async () => {
  const { asked, lookup } = counting();
  const cache = new NameCache(lookup, { lifetime: 60_000, most: 4 });
  for (let i = 0; i <= 4; i++) await cache.get(`${i}`);
  asked.length = 0;
  await cache.get("1");
  await cache.get("0");
  assertEquals(asked, ["0"]);
});

test("NameCache asks once for many who want to know at the same time", async () => {
  const { asked, lookup } = counting();
  const cache = new NameCache(lookup, { lifetime: 60_000 });
  await Promise.all([cache.get("a"), cache.get("a"), cache.get("b")]);
  assertEquals(asked, ["a", "b"]);
});

test("NameCache does not ask again while there is no answer yet", async () => {
  let answer!: (it: string) => void;
  let asked = 0;
  const cache = new NameCache(() => {
    asked++;
    return new Promise<string>((resolve) => answer = resolve);
  }, { lifetime: 0 });
  const found = [cache.get("a"), cache.get("a")];
  answer("x");
  assertEquals(await Promise.all(found), ["x", "x"]);
  assertEquals(asked, 1);
});

test("NameCache keeps no failure", async () => {
  const outcomes = [Promise.reject(new Error("gone")), Promise.resolve("x")];
  const cache = new NameCache(() => outcomes.shift()!, { lifetime: 60_000 });
  await assertRejects(() => cache.get("a"), Error, "gone");
  assertEquals(await cache.get("a"), "x");
});
