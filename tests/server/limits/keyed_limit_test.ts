import { assertEquals } from "@std/assert";
import { LocalKeyedLimit } from "../../../src/server/limits/keyed_limit.ts";
import { test } from "../../support/harness.ts";

test("LocalKeyedLimit remembers only keys with slots", () => {
  const limit = new LocalKeyedLimit(2);
  assertEquals([limit.acquire("a"), limit.acquire("a"), limit.acquire("a")], [
    true,
    true,
    false,
  ]);
  assertEquals([limit.hasRoom("a"), limit.hasRoom("b")], [false, true]);
  limit.release("a");
  assertEquals([limit.hasRoom("a"), limit.size], [true, 1]);
  limit.release("a");
  limit.release("a");
  assertEquals(limit.size, 0);
});
