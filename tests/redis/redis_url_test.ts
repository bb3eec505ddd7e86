import { assertEquals, assertThrows } from "@std/assert";
import { fieldOf, safeKey } from "../../src/redis/names.ts";
import {
  parseRedisUrl,
  type RedisAddress,
  withoutPassword,
} from "../../src/redis/redis_url.ts";
import { redisStore } from "../../src/redis/mod.ts";
import { test } from "../support/harness.ts";

const usual = { hostname: "127.0.0.1", port: 6379, tls: false, database: 0 };

const valid: readonly [url: string, address: RedisAddress][] = [
  ["redis://127.0.0.1", { ...usual, shown: "redis://127.0.0.1:6379" }],
  ["redis://a:7/3", {
    ...{ hostname: "a", port: 7, tls: false, database: 3 },
    shown: "redis://a:7",
  }],
  ["rediss://al:p%40ss@[::1]:7", {
    ...{ hostname: "::1", port: 7, tls: true, database: 0 },
    ...{ username: "al", password: "p@ss" },
    shown: "rediss://[::1]:7",
  }],
  ["redis://:p@127.0.0.1/", {
    ...usual,
    password: "p",
    shown: "redis://127.0.0.1:6379",
  }],
  ["unix:/run/redis.sock?db=2", {
    ...{ hostname: "", port: 0, tls: false, database: 2 },
    ...{ path: "/run/redis.sock", shown: "unix:/run/redis.sock" },
  }],
];

for (const [url, address] of valid) {
  test(`parseRedisUrl() reads ${url}`, () => {
    assertEquals(parseRedisUrl(url), address);
  });
}

test("parseRedisUrl() rejects other URLs without showing them", () => {
  const urls = [
    "s3cret",
    "http://s3cret",
    "redis://:s3cret@",
    "redis://s3cret:x/y",
    "redis://:s3cret@a/b",
    "redis://:s3cret%zz@a",
    "redis://:s3cret@a?x=1",
    "redis://:s3cret@a#x",
    "unix://s3cret/a",
    "unix:s3cret",
    "unix:/",
  ];
  for (const url of urls) {
    const error = assertThrows(() => parseRedisUrl(url), TypeError);
    assertEquals(error.message.includes("s3cret"), false, error.message);
    const other = assertThrows(() => redisStore({ url }), TypeError);
    assertEquals(other.message.includes("s3cret"), false, other.message);
  }
});

test("withoutPassword() removes the password from messages", () => {
  const password = "p@ss";
  assertEquals(
    withoutPassword("p@ss in redis://:p%40ss@a", { password }),
    "*** in redis://:***@a",
  );
  assertEquals(withoutPassword("none", {}), "none");
});

test("safeKey() is another text for each key, and well-formed", () => {
  const keys = [
    "",
    "al",
    "'al",
    '"al"',
    "a\\l",
    "\ud800",
    "\udc00",
    "\\ud800",
    '"\\ud800"',
    "\ufffd",
    "\0",
    "\r\n$3\r\nGET",
    "@",
    "#",
    "é|😀",
  ];
  const texts = keys.map(safeKey);
  assertEquals(new Set(texts).size, keys.length);
  for (const it of texts) {
    const bytes = new TextEncoder().encode(it);
    assertEquals(new TextDecoder().decode(bytes), it);
  }
  assertEquals(fieldOf({ limit: "sessions", key: "" }), "sessions|'");
});
