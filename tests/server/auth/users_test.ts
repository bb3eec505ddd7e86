/** The verification of logins by hashes, and its costs. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { hashPassword, Users } from "../../../src/server/mod.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { shutGate } from "../../support/gate.ts";
import { test } from "../../support/harness.ts";
import { octets } from "../../support/table.ts";
import { until } from "../../transport/contract.ts";

const FAST = { iterations: 10 };
/** Of `secret`. */
const HASH =
  "$pbkdf2-sha256$i=1$c2FsdHNhbHQ$7q77FNs/69qVkPyRNSqXo6plaOX9a1Kyv7l1dRFK7ZE";

test("Users throw when a name could not log in, a hash is malformed, or there is no user", () => {
  for (const name of ["", "x".repeat(256), " a"]) {
    assertThrows(() => new Users([[name, HASH]]), TypeError);
  }
  assertThrows(() => new Users([]), TypeError, "no user");
  assertThrows(() => new Users([["a", HASH], ["a", HASH]]), TypeError, "a");
  const error = assertThrows(() => new Users([["a", "hunter2"]]), TypeError);
  assert(!error.message.includes("hunter2"));
});

/**
 * The rounds of each derivation (PBKDF2) that `run` causes, and how many ran at
 * the same time. They wait for `gate`.
 */
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

test("Users do the same work when the password is wrong and when the user is unknown", async () => {
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
    // From now on both have logged in, which must not change any of this.
    assertEquals(await log(users, "alice", "secret"), true);
    assertEquals(await log(users, "bob", "secret"), true);
  }
});

test("Users hash a correct login once within the time of remember", async () => {
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

test("Users hash equal logins that arrive at the same time once", async () => {
  const users = new Users([["alice", await hashPassword("secret", FAST)]]);
  for (const password of ["secret", "wrong"]) {
    const { rounds } = await workOf(async () => {
      const all = Array.from(
        { length: 500 },
        () => log(users, "alice", password, "192.0.2.1"),
      );
      // Hashed one by one, they would be more than one client may have waiting.
      const verdicts = await Promise.all(all);
      assert(verdicts.every((it) => it === (password === "secret")));
    });
    if (password === "secret") assertEquals(rounds.length, 1);
  }
});

/**
 * 1,000 wrong logins from this many clients; `settled` resolves when `count` of
 * them have their answer.
 */
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

test("Users let at most 32 logins of one client wait", async () => {
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

test("Users hash few logins at a time, and accept remembered ones in the meantime", async () => {
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

test("Users do not hash when no answer is wanted", async () => {
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

/** Begins logins and resolves with them when they wait for their hashing. */
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

test("Users do not confuse logins that are verified at the same time", async () => {
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

test("Users reject when hashing fails, and work again afterwards", async () => {
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
