/** The guard of a verifier: delays, lockouts, and the context of a login. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { GuardedVerifier } from "../../../src/server/auth/guarded_verifier.ts";
import {
  type Credentials,
  Lockout,
  type LoginGuard,
  type Verifier,
  type VerifyContext,
} from "../../../src/server/mod.ts";
import { AbortSwitch } from "../../../src/transport/signal.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { shutGate } from "../../support/gate.ts";
import { test } from "../../support/harness.ts";
import { octets } from "../../support/table.ts";

const CLIENT = { hostname: "192.0.2.1", port: 40_000 };

const RIGHT: Credentials = {
  username: octets('"al"'),
  password: octets('"secret"'),
};
const WRONG: Credentials = { ...RIGHT, password: octets('"wrong"') };

/** A client whose session `stopping` ends; `looks` counts how often its signal was read. */
function source(stopping = new AbortSwitch()) {
  return {
    client: CLIENT,
    looks: 0,
    get signal() {
      this.looks++;
      return stopping.signal;
    },
  };
}

/** Accepts {@linkcode RIGHT}. */
const isRight: Verifier = {
  verify: ({ password }) => password === RIGHT.password,
};

/** Resolves after the promises that are about to settle. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await undefined;
}

test("GuardedVerifier delays each answer to a wrong login longer, by its clock", async () => {
  const clock = new FakeClock();
  const verifier = new GuardedVerifier(isRight, { clock });
  const delays: number[] = [];
  for (let i = 0; i < 8; i++) {
    let answer: unknown;
    verifier.verify(WRONG, source()).then((it) => answer = it);
    await turns();
    let delay = 0;
    for (; answer === undefined; delay += 250) {
      clock.advance(250);
      await turns();
    }
    assertEquals(answer, false);
    delays.push(delay);
  }
  assertEquals(delays, [0, 0, 250, 500, 1_000, 2_000, 4_000, 4_000]);
  assertEquals(await verifier.verify(RIGHT, source()), true);
  assertEquals(await verifier.verify(WRONG, source()), false);
  assertEquals(clock.timers, 0);
});

test("GuardedVerifier does not call its verifier when the client is locked out", async () => {
  const clock = new FakeClock();
  let calls = 0;
  const verifier = new GuardedVerifier({
    verify(...login) {
      calls++;
      return isRight.verify(...login);
    },
  }, { clock, failedLogins: 1, lockout: 1_000 });
  assertEquals(await verifier.verify(WRONG, source()), false);
  assertEquals(await verifier.verify(RIGHT, source()), false);
  assertEquals(calls, 1);
  const other = { ...source(), client: { ...CLIENT, hostname: "192.0.2.2" } };
  assertEquals(await verifier.verify(RIGHT, other), true);
  clock.advance(1_000);
  assertEquals(await verifier.verify(RIGHT, source()), true);
});

test("GuardedVerifier shares its counts with others that have the same guard", async () => {
  const guard = new Lockout({ failedLogins: 2 });
  const [a, b] = [1, 2].map(() => new GuardedVerifier(isRight, { guard }));
  for (const it of [a, b]) {
    assertEquals(await it.verify(WRONG, source()), false);
  }
  for (const it of [a, b]) {
    assertEquals(await it.verify(RIGHT, source()), false);
  }
});

test("GuardedVerifier follows the answers of an asynchronous guard", async () => {
  const calls: string[] = [];
  let locked = false;
  const guard: LoginGuard = {
    isLocked: (client) => Promise.resolve(calls.push(`is ${client}`) < 0),
    failed: (client) => Promise.resolve(calls.push(`failed ${client}`) * 0),
    succeeded: (client) => Promise.resolve(calls.push(client) > 0 && !locked),
  };
  const verifier = new GuardedVerifier(isRight, { guard });
  assertEquals(await verifier.verify(RIGHT, source()), true);
  assertEquals(calls.splice(0), ["is 192.0.2.1", "192.0.2.1"]);
  locked = true;
  assertEquals(await verifier.verify(RIGHT, source()), false);
  const late = ["is 192.0.2.1", "192.0.2.1", "failed 192.0.2.1"];
  assertEquals(calls, late);
});

const unverified: [name: string, verify: Verifier["verify"]][] = [
  ["answers undefined", () => undefined],
  ["resolves with undefined", () => Promise.resolve(undefined)],
  ["throws", () => {
    throw new Error("down");
  }],
  ["rejects", () => Promise.reject(new Error("down"))],
];

for (const [what, verify] of unverified) {
  test(`GuardedVerifier counts nothing when its verifier ${what}`, async () => {
    let works = false;
    const verifier = new GuardedVerifier({
      verify: (...login) => works || verify(...login),
    }, { failedLogins: 1 });
    for (let i = 0; i < 3; i++) {
      assertEquals(await verifier.verify(RIGHT, source()), undefined);
    }
    works = true;
    assertEquals(await verifier.verify(RIGHT, source()), true);
  });
}

test("GuardedVerifier accepts a login only when its verifier returns true", async () => {
  for (const answer of ["true", 1, {}, [], null]) {
    const verify = () => answer as unknown as boolean;
    const verifier = new GuardedVerifier({ verify });
    assertEquals(await verifier.verify(RIGHT, source()), false);
  }
});

test("GuardedVerifier passes on the client and a real signal, which it creates only when it is read", async () => {
  const stopping = new AbortSwitch();
  const seen: VerifyContext[] = [];
  const verifier = new GuardedVerifier({
    verify: (_, context) => seen.push(context) > 0,
  });
  const from = source(stopping);
  assertEquals(await verifier.verify(RIGHT, from), true);
  const [{ client }] = seen;
  assertEquals([client, from.looks], [CLIENT, 0]);
  const { signal, isWanted } = seen[0];
  assert(signal instanceof AbortSignal);
  assertEquals([signal.aborted, isWanted()], [false, true]);
  stopping.abort(new Error("over"));
  assertEquals([signal.aborted, isWanted()], [true, false]);
});

test("isWanted() returns false when another login has locked the client out in the meantime", async () => {
  const gate = shutGate();
  let wanted: boolean | undefined;
  const verifier = new GuardedVerifier({
    async verify({ password }, { isWanted }) {
      if (password !== RIGHT.password) return false;
      await gate.opened;
      wanted = isWanted();
      return true;
    },
  }, { failedLogins: 1 });
  const right = verifier.verify(RIGHT, source());
  assertEquals(await verifier.verify(WRONG, source()), false);
  gate.open();
  assertEquals([await right, wanted], [false, false]);
});

test("GuardedVerifier ends a delay when the session ends", async () => {
  const clock = new FakeClock();
  const verifier = new GuardedVerifier(isRight, { clock });
  for (let i = 0; i < 2; i++) await verifier.verify(WRONG, source());
  const stopping = new AbortSwitch();
  const answer = verifier.verify(WRONG, source(stopping));
  await turns();
  assertEquals(clock.timers, 1);
  stopping.abort(new Error("over"));
  await assertRejects(() => answer);
  assertEquals(clock.timers, 0);
});

test("GuardedVerifier counts a wrong login whose session has ended before the answer", async () => {
  const stopping = new AbortSwitch();
  const gate = shutGate();
  const verifier = new GuardedVerifier({
    async verify(...login) {
      await gate.opened;
      return await isRight.verify(...login);
    },
  }, { failedLogins: 1 });
  const wrong = verifier.verify(WRONG, source(stopping));
  stopping.abort(new Error("over"));
  gate.open();
  assertEquals(await wrong, false);
  assertEquals(await verifier.verify(RIGHT, source()), false);
});
