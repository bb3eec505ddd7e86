import { assert, assertEquals } from "@std/assert";
import { KeyedRateLimit } from "../../../src/server/limits/keyed_rate_limit.ts";
import { test } from "../../support/harness.ts";

/** How many of `tries` attempts at the same time succeed. */
function taken(rate: KeyedRateLimit, key: string, now: number, tries: number) {
  return Array.from({ length: tries }, () => rate.take(key, now))
    .filter((it) => it).length;
}

test("KeyedRateLimit allows bursts of twice the rate, then the rate", () => {
  for (const [perSecond, burst] of [[1, 10], [5, 10], [7, 14], [300, 600]]) {
    const rate = new KeyedRateLimit(perSecond);
    const start = 123_456_789.012;
    assertEquals(taken(rate, "a", start, 1_000), burst, `${perSecond}`);
    let more = 0;
    for (let ms = 1; ms <= 10_000; ms++) {
      more += taken(rate, "a", start + ms, 2);
    }
    assertEquals(more, 10 * perSecond);
  }
});

test("KeyedRateLimit counts neither rejected attempts nor other keys", () => {
  const rate = new KeyedRateLimit(10);
  assertEquals(taken(rate, "a", 0, 10_000), 20);
  assertEquals(taken(rate, "b", 0, 5), 5);
  assertEquals(taken(rate, "a", 100, 5), 1);
  assertEquals(taken(rate, "b", 100, 100), 16);
});

test("KeyedRateLimit forgets buckets when they are full again, not before", () => {
  const rate = new KeyedRateLimit(10);
  for (let i = 0; i < 1_000; i++) taken(rate, `${i}`, i, 20);
  assertEquals(rate.size, 1_000);
  for (let i = 0; i < 1_000; i++) {
    assertEquals(taken(rate, `${i}`, 1_999 + i / 1_000, 20) < 20, true, `${i}`);
  }
  for (let ms = 4_000; ms < 9_000; ms += 500) rate.take("other", ms);
  assertEquals(rate.size <= 2, true, `${rate.size} keys`);
});

test("KeyedRateLimit remembers at most maxKeys keys, the newest ones", () => {
  const rate = new KeyedRateLimit(10, 1_000);
  for (let i = 0; i < 100_000; i++) {
    taken(rate, `${i}`, 0, 20);
    assert(rate.size <= 1_000, `${rate.size} keys`);
  }
  assertEquals(rate.take("99999", 0), false);
  assertEquals(rate.take("0", 0), true);
});

test("KeyedRateLimit.perSecond keeps what each key has used when it is set", () => {
  const rate = new KeyedRateLimit(10);
  assertEquals(taken(rate, "a", 0, 100), 20);
  rate.perSecond = 20;
  assertEquals(taken(rate, "a", 0, 100), 0);
  assertEquals(taken(rate, "a", 1_000, 100), 20);
  assertEquals(taken(rate, "b", 1_000, 100), 40);
  const slow = new KeyedRateLimit(1);
  assertEquals(taken(slow, "a", 0, 100), 10); // full again after 10 s
  slow.perSecond = 10;
  assertEquals(taken(slow, "a", 1_000, 100), 0);
  assertEquals(taken(slow, "a", 10_000, 100), 20);
});
