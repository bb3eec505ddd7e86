/** Hashes of passwords. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { hashPassword, verifyPassword } from "../../../src/server/mod.ts";
import { test } from "../../support/harness.ts";
import { octets } from "../../support/table.ts";

const FAST = { iterations: 10 };

/** Hashes that other software computed; the first two are from RFC 7914 section 11. */
const vectors: [password: string, hash: string][] = [
  [
    '"passwd"',
    "$pbkdf2-sha256$i=1$c2FsdA$VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLw",
  ],
  [
    '"Password"',
    "$pbkdf2-sha256$i=80000$TmFDbA$TdzY9guYviGDDO5e8icB+WQaRBjQTAQUrv8Ih2s0q1Y",
  ],
  [
    "C3 28 FF",
    "$pbkdf2-sha256$i=2$c2FsdA==$HWK+OYPwoXDgv3kj0f1lTG9NlKkWsLrax75QnT+QuyI=",
  ],
  [
    "255*70",
    `$pbkdf2-sha256$i=3$${
      "c2FsdHNhbHRzYWx0".repeat(5)
    }c2FsdA$ITXMdcPYWXeOzXr4bgx2GZId9tYl7SF7INQR6fkExGs`,
  ],
];

for (const [password, hash] of vectors) {
  test(`verifyPassword() matches the hash of ${password} with nothing else`, async () => {
    const right = octets(password);
    assertEquals(await verifyPassword(right, hash), true);
    const wrong = octets(password);
    wrong[wrong.length - 1] ^= 1;
    assertEquals(await verifyPassword(wrong, hash), false);
    assertEquals(await verifyPassword(right.subarray(1), hash), false);
  });
}

test("verifyPassword() does not ignore NUL", async () => {
  const hash = await hashPassword("secret", FAST);
  assertEquals(await verifyPassword("secret", hash), true);
  // HMAC pads its key with NUL: to PBKDF2 these are the same password.
  for (const wrong of ["secret\0", "secret\0\0", "secret\0x", "\0secret", ""]) {
    assertEquals(await verifyPassword(wrong, hash), false, wrong);
  }
  const inside = await hashPassword("a\0b", FAST);
  assertEquals(await verifyPassword("a\0b", inside), true);
  assertEquals(await verifyPassword("a", inside), false);
});

test("hashPassword() adds a salt and the parameters", async () => {
  const [a, b] = [await hashPassword("ü", FAST), await hashPassword("ü", FAST)];
  assert(/^\$pbkdf2-sha256\$i=10\$[\w+/]{22}\$[\w+/]{43}$/.test(a), a);
  assert(a !== b);
  assert(await verifyPassword(octets("C3 BC"), b));
  assert((await hashPassword("x")).startsWith("$pbkdf2-sha256$i=600000$"));
  const longest = octets("255*FF");
  assert(await verifyPassword(longest, await hashPassword(longest, FAST)));
});

test("hashPassword() rejects passwords that no login can have", async () => {
  for (const bad of ["", "x".repeat(256), "secret\0"]) {
    await assertRejects(() => hashPassword(bad, FAST), TypeError, "255 bytes");
  }
  for (const iterations of [0, -1, 1.5, 10_000_001, NaN]) {
    const hashing = () => hashPassword("x", { iterations });
    await assertRejects(hashing, TypeError, "iterations");
  }
});

const KEY = "A".repeat(43);
const badHashes: string[] = [
  "",
  "secret",
  "$2y$10$abcdefghijklmnopqrstuv",
  `$pbkdf2-sha256$i=0$c2FsdA$${KEY}`,
  `$pbkdf2-sha256$i=01$c2FsdA$${KEY}`,
  `$pbkdf2-sha256$i=10000001$c2FsdA$${KEY}`,
  `$pbkdf2-sha256$29000$c2FsdA$${KEY}`,
  `$pbkdf2-sha512$i=1$c2FsdA$${KEY}`,
  `$pbkdf2-sha256$i=1$$${KEY}`,
  `$pbkdf2-sha256$i=1$c2FsdAA$${KEY}A`,
  `$pbkdf2-sha256$i=1$c2Fsd$${KEY}`,
  `$pbkdf2-sha256$i=1$c2FsdA$${KEY.slice(1)}`,
  `$pbkdf2-sha256$i=1$c2 sdA$${KEY}`,
  `$pbkdf2-sha256$i=1$c2FsdA$${KEY}\n`,
];

for (const bad of badHashes) {
  test(`verifyPassword() rejects the hash ${JSON.stringify(bad)}`, async () => {
    const error = await assertRejects(
      () => verifyPassword("x", bad),
      TypeError,
    );
    assert(bad === "" || !error.message.includes(bad));
  });
}
