/** Users files, and what a login costs whom. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  hashPassword,
  parseUsers,
  Users,
  UsersError,
  verifyPassword,
} from "../../../src/server/mod.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";
import { octets } from "../../support/table.ts";
import { until } from "../../transport/contract.ts";
import { shutGate } from "../../support/gate.ts";

const FAST = { iterations: 10 };
/** Of `secret`. */
const HASH =
  "$pbkdf2-sha256$i=1$c2FsdHNhbHQ$7q77FNs/69qVkPyRNSqXo6plaOX9a1Kyv7l1dRFK7ZE";

/** What others compute; the first two are of RFC 7914 section 11. */
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
  test(`verifyPassword() knows the hash of ${password}`, async () => {
    const right = octets(password);
    assertEquals(await verifyPassword(right, hash), true);
    const wrong = octets(password);
    wrong[wrong.length - 1] ^= 1;
    assertEquals(await verifyPassword(wrong, hash), false);
    assertEquals(await verifyPassword(right.subarray(1), hash), false);
  });
}

test("verifyPassword() takes no NUL for nothing", async () => {
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

test("hashPassword() salts, and says how it hashes", async () => {
  const [a, b] = [await hashPassword("ü", FAST), await hashPassword("ü", FAST)];
  assert(/^\$pbkdf2-sha256\$i=10\$[\w+/]{22}\$[\w+/]{43}$/.test(a), a);
  assert(a !== b);
  assert(await verifyPassword(octets("C3 BC"), b));
  assert((await hashPassword("x")).startsWith("$pbkdf2-sha256$i=600000$"));
  const longest = octets("255*FF");
  assert(await verifyPassword(longest, await hashPassword(longest, FAST)));
});

test("hashPassword() refuses what nobody could log in with", async () => {
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
  test(`verifyPassword() refuses the hash ${JSON.stringify(bad)}`, async () => {
    const error = await assertRejects(
      () => verifyPassword("x", bad),
      TypeError,
    );
    assert(bad === "" || !error.message.includes(bad));
  });
}

test("parseUsers() reads names and hashes, comments and line ends of all kinds", () => {
  const text =
    `\uFEFF# users\r\n\r\nalice:${HASH}\r\n  # more\n\t\nb o:b:${HASH}  \nü:${HASH}`;
  assertEquals([...parseUsers(text).hashes], [
    ["alice", HASH],
    ["b o:b", HASH],
    ["ü", HASH],
  ]);
  assertEquals(parseUsers(`${"ü".repeat(127)}x:${HASH}`).hashes.size, 1);
});

/** A row: text, and what of it must be reported: line and a part of the reason. */
const badFiles: [text: string, problems: [line?: number, reason?: string][]][] =
  [
    ["", [[undefined, "no user"]]],
    ["# alice\n", [[undefined, "no user"]]],
    ["hunter2", [[1, "NAME:HASH"]]],
    ["alice:hunter2", [[1, "hash-password"]]],
    ["alice:hunter2:$", [[1, "$pbkdf2-sha256$i=N$SALT$KEY"]]],
    ["alice:", [[1, "hash-password"]]],
    [`:${HASH}`, [[1, "1 to 255"]]],
    [`${"ü".repeat(128)}:${HASH}`, [[1, "1 to 255"]]],
    [`alice: ${HASH}`, [[1, "hash-password"]]],
    [` alice:${HASH}`, [[1, "white space"]]],
    [`alice :${HASH}`, [[1, "white space"]]],
    [`caf\uFFFD:${HASH}`, [[1, "UTF-8"]]],
    [`a:${HASH}\n\na:${HASH}\nA:${HASH}`, [[3, "line 1"]]],
    [`a:hunter2\r\nb:${HASH}\r\na:${HASH}\r\nhunter2`, [
      [1, "hash-password"],
      [3, "line 1"],
      [4, "NAME:HASH"],
    ]],
  ];

for (const [text, expected] of badFiles) {
  test(`parseUsers() refuses ${JSON.stringify(text).slice(0, 40)}`, () => {
    const error = assertThrows(() => parseUsers(text), UsersError);
    assertEquals(
      error.problems.map(({ line }) => line),
      expected.map(([line]) => line),
    );
    for (const [i, [line, reason]] of expected.entries()) {
      assert(error.problems[i].reason.includes(reason!), error.message);
      assert(line === undefined || error.message.includes(`line ${line}: `));
    }
    assert(!/hunter2|alice|caf/.test(error.message), error.message);
  });
}

test("Users refuse names that cannot log in, and no users", () => {
  for (const name of ["", "x".repeat(256), " a"]) {
    assertThrows(() => new Users([[name, HASH]]), TypeError);
  }
  assertThrows(() => new Users([]), TypeError, "no user");
  assertThrows(() => new Users([["a", HASH], ["a", HASH]]), TypeError, "a");
  const error = assertThrows(() => new Users([["a", "hunter2"]]), TypeError);
  assert(!error.message.includes("hunter2"));
});

/** The rounds of PBKDF2, which waits for `gate`, that `run` asks for, and how many derivations were under way at the same time. */
async function workOf(
  run: () => Promise<unknown>,
  gate?: Promise<void>,
): Promise<{ rounds: number[]; atOnce: number }> {
  const { subtle } = crypto;
  const derive = subtle.deriveBits;
  const rounds: number[] = [];
  let [now, atOnce] = [0, 0];
  subtle.deriveBits = async (how, key, length) => {
    rounds.push((how as unknown as { iterations: number }).iterations);
    atOnce = Math.max(atOnce, ++now);
    await gate;
    return await derive.call(subtle, how, key, length!).finally(() => now--);
  };
  try {
    await run();
    return { rounds, atOnce };
  } finally {
    delete (subtle as { deriveBits?: unknown }).deriveBits;
  }
}

function log(users: Users, name: string, password: string, client?: string) {
  const encoder = new TextEncoder();
  const credentials = {
    username: encoder.encode(name),
    password: encoder.encode(password),
  };
  const context = client === undefined
    ? {}
    : { client: { hostname: client, port: 1 } };
  return users.verify(credentials, context);
}

function sum(numbers: number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

test("Users do the same work for a wrong password and an unknown user", async () => {
  const users = new Users([
    ["alice", await hashPassword("secret", { iterations: 20 })],
    ["bob", await hashPassword("secret", { iterations: 50 })],
  ]);
  const attempts: [name: string, password: string][] = [
    ["alice", "wrong"],
    ["bob", "wrong"],
    ["nobody", "wrong"],
    ["alice", ""],
    ["", "secret"],
    ["bob", "secret\0"],
  ];
  for (let round = 0; round < 2; round++) {
    for (const [name, password] of attempts) {
      const { rounds } = await workOf(async () => {
        assertEquals(await log(users, name, password), false);
      });
      assertEquals(sum(rounds), 50, `${name} ${password}`);
    }
    // From now on both have logged in, which must change none of this.
    assertEquals(await log(users, "alice", "secret"), true);
    assertEquals(await log(users, "bob", "secret"), true);
  }
});

test("Users remember a right login for a while", async () => {
  const clock = new FakeClock();
  const hash = await hashPassword("secret", FAST);
  const options = { remember: 1_000, clock };
  const users = new Users([["alice", hash], ["bob", hash]], options);
  const right = async () =>
    (await workOf(async () => {
      assertEquals(await log(users, "alice", "secret"), true);
    })).rounds.length;
  assertEquals(await right(), 1);
  assertEquals(await right(), 0);
  assertEquals(await log(users, "alice", "secre"), false);
  assertEquals(await log(users, "bob", "secrets"), false);
  assertEquals(await right(), 0);
  clock.advance(1_000);
  assertEquals(await right(), 1);
  assertEquals(await right(), 0);
  const reloaded = new Users(users.hashes, options);
  const { rounds } = await workOf(() => log(reloaded, "alice", "secret"));
  assertEquals(rounds.length, 1);
});

test("Users hash each of many equal logins once", async () => {
  const users = new Users([["alice", await hashPassword("secret", FAST)]]);
  for (const password of ["secret", "wrong"]) {
    const { rounds } = await workOf(async () => {
      const all = Array.from(
        { length: 500 },
        () => log(users, "alice", password, "192.0.2.1"),
      );
      // Were they not one, they would be more than may wait of one client.
      const verdicts = await Promise.all(all);
      assert(verdicts.every((it) => it === (password === "secret")));
    });
    if (password === "secret") assertEquals(rounds.length, 1);
  }
});

/** Wrong logins from so many clients; `settled` resolves when so many have got their answer. */
function flood(users: Users, clients: number, count: number) {
  let [answers, verified] = [0, 0];
  const settled = shutGate();
  const all = Array.from({ length: 1_000 }, async (_, i) => {
    const client = `192.0.2.${i % clients}`;
    const verdict = await log(users, "alice", `${i}`, client);
    if (verdict !== undefined) verified++;
    if (++answers === count) settled.open();
  });
  const done = Promise.all(all).then(() => verified);
  return { done, settled: settled.opened };
}

test("Users let few logins of one client wait", async () => {
  const users = new Users([["alice", await hashPassword("secret", FAST)]]);
  const gate = shutGate();
  const { rounds } = await workOf(async () => {
    const { settled, done } = flood(users, 1, 1_000 - 32);
    await settled;
    gate.open();
    assertEquals(await done, 32);
  }, gate.opened);
  assertEquals(rounds.length, 32);
});

test("Users verify few logins at a time, and those they remember meanwhile", async () => {
  const users = new Users([["alice", await hashPassword("secret", FAST)]]);
  assertEquals(await log(users, "alice", "secret"), true);
  const gate = shutGate();
  const { rounds, atOnce } = await workOf(async () => {
    const { settled, done } = flood(users, 200, 1_000 - 130);
    await settled;
    assertEquals(await log(users, "alice", "secret"), true);
    gate.open();
    const verified = await done;
    assert(verified === 129 || verified === 130, `${verified}`);
  }, gate.opened);
  assertEquals(rounds.length - 128, atOnce);
});

test("Users do not hash what nobody waits for any more", async () => {
  const users = new Users([["alice", await hashPassword("secret", FAST)]]);
  assertEquals(await log(users, "alice", "secret"), true);
  const wrong = { username: octets('"alice"'), password: octets('"wrong"') };
  const unwanted = { isWanted: () => false };
  const alone = await workOf(async () => {
    assertEquals(await users.verify(wrong, unwanted), undefined);
  });
  assertEquals(alone.rounds.length, 0);
  const gate = shutGate();
  const shared = await workOf(async () => {
    const busy = await waiting(
      () => ["1", "2"].map((it) => log(users, "alice", it)),
    );
    const verdicts = await waiting(() => [
      users.verify(wrong, unwanted),
      users.verify(wrong),
    ]);
    gate.open();
    assertEquals(await Promise.all(verdicts), [false, false]);
    await Promise.all(busy);
  }, gate.opened);
  assertEquals(shared.rounds.length, 3);
});

/** Logins that were begun and now wait for their hashing. */
async function waiting<T>(begin: () => Promise<T>[]): Promise<Promise<T>[]> {
  const { subtle } = crypto;
  const sign = subtle.sign;
  let digests = 0;
  subtle.sign = (...args: Parameters<typeof sign>) =>
    sign.apply(subtle, args).finally(() => digests++);
  const logins = begin();
  await until(() => digests === logins.length);
  delete (subtle as { sign?: unknown }).sign;
  await new Promise((resolve) => setTimeout(resolve));
  return logins;
}

test("Users do not take one login for another that is verified at the same time", async () => {
  const hash = await hashPassword("secret", FAST);
  const users = new Users([["alice", hash], ["alic", hash]]);
  const gate = shutGate();
  await workOf(async () => {
    const verdicts = await waiting(() => [
      log(users, "alice", "secret"),
      log(users, "alic", "esecret"),
    ]);
    gate.open();
    assertEquals(await Promise.all(verdicts), [true, false]);
  }, gate.opened);
});

test("Users pass on that hashing failed, and go on", async () => {
  const users = new Users([["alice", await hashPassword("secret", FAST)]]);
  const { subtle } = crypto;
  subtle.deriveBits = () => Promise.reject(new Error("no"));
  try {
    for (let i = 0; i < 5; i++) {
      await assertRejects(() => log(users, "alice", "secret"), Error, "no");
    }
  } finally {
    delete (subtle as { deriveBits?: unknown }).deriveBits;
  }
  assertEquals(await log(users, "alice", "secret"), true);
});
