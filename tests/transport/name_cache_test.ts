import { assertEquals, assertRejects } from "@std/assert";
import { NameCache } from "../../src/transport/name_cache.ts";
import {
  type AbortSignalLike,
  AbortSwitch,
} from "../../src/transport/signal.ts";
import { NetError } from "../../src/transport/errors.ts";
import { Semaphore } from "../../src/transport/common/semaphore.ts";
import { test } from "../support/harness.ts";
import { settled } from "./contract.ts";

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

test("NameCache gives up a name that nobody waits for any more, and only that", async () => {
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
  const again = cache.get("left"); // is asked for anew
  assertEquals(answers.length, 3);
  for (const answer of answers) answer();
  assertEquals([await kept, await again], ["x", "x"]);
  leaving[2].abort(undefined); // after the answer
  assertEquals(await cache.get("kept", leaving[2]), "x");
});

test("Turns does so many at a time, in order, and none that is not wanted any more", async () => {
  const turns = new Semaphore(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const stop = new AbortSwitch();
  const take = (number: number, signal: AbortSignalLike = new AbortSwitch()) =>
    turns.run(() => {
      begun.push(number);
      return new Promise<number>((resolve) => ends.push(() => resolve(number)));
    }, signal);
  const taken = [take(1), take(2), take(3, stop), take(4), take(5, stop)];
  await settled();
  assertEquals(begun, [1, 2]);
  stop.abort(new NetError("aborted"));
  for (const it of [taken[2], taken[4], take(6, stop)]) {
    await assertRejects(() => it, NetError);
  }
  ends[0]();
  await settled();
  assertEquals(begun, [1, 2, 4]);
  const last = take(7);
  await settled();
  assertEquals(begun, [1, 2, 4]);
  for (let i = 1; i < 3; i++) ends[i]();
  await settled();
  assertEquals(begun, [1, 2, 4, 7]);
  ends[3]();
  assertEquals(await Promise.all([taken[0], taken[1], taken[3], last]), [
    1,
    2,
    4,
    7,
  ]);
});
