import { assertEquals, assertRejects } from "@std/assert";
import { NameCache } from "../../src/transport/name_cache.ts";
import { AbortSwitch } from "../../src/transport/signal.ts";
import { NetError } from "../../src/transport/errors.ts";
import { test } from "../support/harness.ts";
import { FakeClock } from "../support/fake_clock.ts";

function counting() {
  const asked: string[] = [];
  const lookup = (name: string) => {
    asked.push(name);
    return Promise.resolve("192.0.2.1");
  };
  return { asked, lookup };
}

test("NameCache.get() looks up a name again when the answer has expired", async () => {
  const { asked, lookup } = counting();
  const clock = new FakeClock();
  const cache = new NameCache(lookup, { lifetime: 1_000, clock });
  for (const _ of [1, 2]) await cache.get("a");
  clock.advance(999);
  await cache.get("a");
  assertEquals(asked, ["a"]);
  clock.advance(1);
  for (const _ of [1, 2]) await cache.get("a");
  assertEquals(asked, ["a", "a"]);
});

test("NameCache.get() looks up a name every time when the lifetime is 0", async () => {
  const { asked, lookup } = counting();
  const cache = new NameCache(lookup, { lifetime: 0 });
  for (const _ of [1, 2]) await cache.get("a");
  assertEquals(asked, ["a", "a"]);
});

test("NameCache drops the oldest name when there are too many", async () => {
  const { asked, lookup } = counting();
  const cache = new NameCache(lookup, { lifetime: 60_000, most: 4 });
  for (let i = 0; i <= 4; i++) await cache.get(`${i}`);
  asked.length = 0;
  await cache.get("1");
  await cache.get("0");
  assertEquals(asked, ["0"]);
});

test("NameCache.get() looks up a name once for concurrent callers", async () => {
  const { asked, lookup } = counting();
  const cache = new NameCache(lookup, { lifetime: 60_000 });
  await Promise.all([cache.get("a"), cache.get("a"), cache.get("b")]);
  assertEquals(asked, ["a", "b"]);
});

test("NameCache.get() does not look up a name again while there is no answer", async () => {
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

test("NameCache.get() looks up a name again when that has failed", async () => {
  const outcomes = [Promise.reject(new Error("gone")), Promise.resolve("x")];
  const cache = new NameCache(() => outcomes.shift()!, { lifetime: 60_000 });
  await assertRejects(() => cache.get("a"), Error, "gone");
  assertEquals(await cache.get("a"), "x");
});

test("NameCache.get() aborts a look-up only when all of its callers have left", async () => {
  const stopped: string[] = [];
  const answers: (() => void)[] = [];
  const cache = new NameCache(
    (name, signal) =>
      new Promise<string>((resolve, reject) => {
        answers.push(() => resolve("x"));
        signal.addEventListener("abort", () => {
          stopped.push(name);
          reject(signal.reason);
        });
      }),
    { lifetime: 60_000 },
  );
  const leaving = [new AbortSwitch(), new AbortSwitch(), new AbortSwitch()];
  const left = [
    cache.get("left", leaving[0]),
    cache.get("left", leaving[1]),
  ];
  const [kept] = [cache.get("kept"), cache.get("kept", leaving[2])];
  leaving[0].abort(undefined);
  leaving[2].abort(undefined);
  assertEquals(stopped, []);
  leaving[1].abort(undefined);
  assertEquals(stopped, ["left"]);
  for (const it of left) await assertRejects(() => it, NetError);
  const again = cache.get("left"); // looks it up again
  assertEquals(answers.length, 3);
  for (const answer of answers) answer();
  assertEquals([await kept, await again], ["x", "x"]);
  leaving[2].abort(undefined); // after the answer
  assertEquals(await cache.get("kept", leaving[2]), "x");
});
