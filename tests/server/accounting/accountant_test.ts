/** Usage is reported once and all of it, and quotas hold, whatever the store does. */

import { assertEquals, assertMatch } from "@std/assert";
import {
  LocalUsageStore,
  type NetError,
  type UsageReport,
  type UsageStore,
  type UserAttributes,
} from "../../../src/server/mod.ts";
import { Accountant } from "../../../src/server/accounting/accountant.ts";
import { CurrentAttributes } from "../../../src/server/accounting/current_attributes.ts";
import { AbortSwitch } from "../../../src/transport/signal.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";

class FakeSession {
  sent = 0;
  received = 0;
  ended: string | undefined;
  error: NetError | undefined;
  readonly settings = { timeouts: { handshake: 10_000 } };
  readonly stopping = new AbortSwitch();

  end(reason: string, error: NetError): void {
    this.ended ??= reason;
    this.error = error;
  }
}

/** A quota of 100 bytes per day. */
const attributes: UserAttributes = { quota: { bytes: 100, per: "day" } };

interface Setup {
  readonly attributes?: UserAttributes;
  readonly interval?: number;
  readonly store?: UsageStore;
}

function setUp({ attributes, interval = 60_000, store }: Setup) {
  const clock = new FakeClock();
  const local = new LocalUsageStore();
  const calls: (readonly UsageReport[])[] = [];
  const errors: string[] = [];
  const current = new CurrentAttributes(attributes && (() => attributes));
  const accountant = new Accountant({
    store: store ?? {
      add(reports) {
        calls.push(reports);
        return local.add(reports);
      },
    },
    interval,
    attributes: current,
    clock,
    onError: ({ message }) => errors.push(message),
  });
  const total = (user: string) =>
    local.totals.find((it) => it.user === user)?.total;
  const settle = () => clock.run(1, 1);
  return { accountant, clock, calls, errors, current, local, total, settle };
}

test("Accountant reports open sessions at the interval, and the rest when they end", async () => {
  const { accountant, clock, calls, total, settle } = setUp({});
  const [one, two] = [new FakeSession(), new FakeSession()];
  accountant.open("alice", one);
  accountant.open("alice", two);
  one.sent = 10;
  two.received = 20;
  await clock.run(59_000, 1_000);
  assertEquals(calls, []);
  await clock.run(1_000, 1_000);
  assertEquals(total("alice"), { sent: 10, received: 20, sessions: 2 });
  one.sent = 11;
  accountant.ended("alice", one);
  accountant.ended("alice", one); // has no effect
  await settle();
  assertEquals(total("alice"), { sent: 11, received: 20, sessions: 2 });
  two.received = 25;
  accountant.ended("alice", two);
  await settle();
  assertEquals(total("alice"), { sent: 11, received: 25, sessions: 2 });
  await clock.run(120_000, 1_000);
  assertEquals([calls.length, clock.timers], [3, 0]);
});

test("Accountant reports sessions that end in one turn by one call, and none twice", async () => {
  const { accountant, calls, settle } = setUp({});
  const sessions = Array.from({ length: 5 }, () => new FakeSession());
  for (const [i, it] of sessions.entries()) {
    accountant.open(`user${i % 2}`, it);
    it.sent = 1;
  }
  for (const [i, it] of sessions.entries()) {
    accountant.ended(`user${i % 2}`, it);
  }
  await settle();
  assertEquals(calls, [[
    { user: "user0", sent: 3, received: 0, sessions: 3 },
    { user: "user1", sent: 2, received: 0, sessions: 2 },
  ]]);
});

test("Accountant.ended() ignores sessions that were not opened", async () => {
  const { accountant, calls, clock, settle } = setUp({});
  accountant.ended("alice", new FakeSession());
  await settle();
  assertEquals([calls.length, clock.timers], [0, 0]);
});

test("Accountant ends the sessions of a user over quota within a second, and refuses others", async () => {
  const { accountant, clock, settle } = setUp({ attributes });
  const session = new FakeSession();
  assertEquals(await accountant.check("alice", session), undefined);
  accountant.open("alice", session);
  session.sent = 60;
  await clock.run(1_000, 1_000);
  session.received = 39;
  await clock.run(1_000, 1_000);
  assertEquals(session.ended, undefined);
  assertEquals(await accountant.check("alice", session), undefined);
  session.received = 40;
  await clock.run(1_000, 1_000);
  assertEquals(session.ended, "quota");
  assertMatch(session.error!.message, /quota/);
  const refused = await accountant.check("alice", session);
  assertEquals(refused?.kind, "denied");
  assertEquals(await accountant.check("bob", session), undefined);
  accountant.ended("alice", session);
  await settle();
  assertEquals((await accountant.check("alice", session))?.kind, "denied");
  await clock.run(2_000, 1_000);
  assertEquals(clock.timers, 0);
});

test("Accountant counts what other servers have reported against a quota", async () => {
  const attributes = { quota: { bytes: 100, per: "month" } } as const;
  const { accountant, clock, local } = setUp({ attributes });
  const session = new FakeSession();
  accountant.open("alice", session);
  session.sent = 1;
  local.add([{ user: "alice", sent: 50, received: 49, sessions: 1 }]);
  await clock.run(1_000, 1_000);
  assertEquals(session.ended, "quota");
});

test("Accountant ends the sessions of a user whose account expires, and refuses others", async () => {
  const until = Date.now() + 86_400_000;
  const given = { current: { until } };
  const { accountant, clock, current } = setUp({});
  current.lookUp = () => given.current;
  const session = new FakeSession();
  assertEquals(await accountant.check("alice", session), undefined);
  accountant.open("alice", session);
  await clock.run(1_000, 1_000);
  assertEquals(session.ended, undefined);
  given.current = { until: Date.now() };
  await clock.run(1_000, 1_000);
  assertEquals(session.ended, "expired");
  assertMatch((await accountant.check("alice", session))!.message, /expired/);
});

test("Accountant ends the sessions of an expired user also when all users are reported", async () => {
  const until = { current: Date.now() + 86_400_000 };
  const { accountant, clock, current } = setUp({ interval: 500 });
  current.lookUp = () => ({ until: until.current });
  const session = new FakeSession();
  accountant.open("alice", session);
  await clock.run(500, 500);
  until.current = Date.now();
  await clock.run(500, 500);
  assertEquals(session.ended, "expired");
});

test("Accountant.attributesChanged() applies new attributes to open sessions", async () => {
  const { accountant, current, settle } = setUp({ interval: 0 });
  const session = new FakeSession();
  accountant.open("alice", session);
  session.sent = 100;
  current.lookUp = () => ({ quota: { bytes: 100, per: "day" } });
  accountant.attributesChanged();
  await settle();
  assertEquals(session.ended, "quota");
});

/** A store that fails or waits as long as the test wants. */
function failingStore() {
  const local = new LocalUsageStore();
  const state = { fails: false, hangs: false, local };
  const store: UsageStore = {
    async add(reports) {
      await undefined;
      if (state.hangs) await new Promise(() => {});
      if (state.fails) throw new Error("no route to the store");
      return local.add(reports);
    },
  };
  return { state, store };
}

test("Accountant keeps usage that the store did not take, and reports a failure once", async () => {
  const { state, store } = failingStore();
  const { accountant, clock, errors, settle } = setUp({ store });
  const session = new FakeSession();
  state.fails = true;
  accountant.open("alice", session);
  session.sent = 5;
  accountant.ended("alice", session);
  await settle();
  await clock.run(5_000, 500);
  assertEquals(errors, ["the usage store failed: no route to the store"]);
  state.fails = false;
  await clock.run(2_000, 500);
  const [{ total }] = state.local.totals;
  assertEquals(total, { sent: 5, received: 0, sessions: 1 });
  assertEquals([errors.length, clock.timers], [1, 0]);
});

test("Accountant refuses users with a quota while the store fails, and ends them by what it knew", async () => {
  const { state, store } = failingStore();
  const { accountant, clock } = setUp({ store, attributes });
  const session = new FakeSession();
  accountant.open("alice", session);
  session.sent = 60;
  await clock.run(1_000, 500);
  state.fails = true;
  session.sent = 90;
  await clock.run(1_000, 500);
  assertEquals(session.ended, undefined);
  const refused = await accountant.check("alice", session);
  assertMatch(refused!.message, /the usage store failed/);
  session.sent = 100;
  await clock.run(1_000, 500);
  assertEquals(session.ended, "quota");
});

test("Accountant ends no session at midnight by what was used on the day before", async () => {
  let now = Date.UTC(2026, 10, 29, 23);
  const store = new LocalUsageStore({ now: () => now });
  const { accountant, clock } = setUp({ store, attributes });
  const session = new FakeSession();
  accountant.open("alice", session);
  session.sent = 99;
  await clock.run(1_000, 500);
  now += 3_600_000;
  session.sent = 101;
  await clock.run(1_000, 500);
  assertEquals(session.ended, undefined);
  assertEquals(store.totals[0].day.sent, 2);
});

test("Accountant ends users by what it knew while the store does not answer", async () => {
  const { state, store } = failingStore();
  const { accountant, clock } = setUp({ store, attributes });
  const session = new FakeSession();
  accountant.open("alice", session);
  session.sent = 60;
  await clock.run(1_000, 500);
  state.hangs = true;
  await clock.run(1_000, 500);
  session.sent = 99;
  await clock.run(1_000, 500);
  assertEquals(session.ended, undefined);
  session.received = 1;
  await clock.run(1_000, 500);
  assertEquals(session.ended, "quota");
});

test("Accountant.check() waits no longer than for a handshake, and for no session that has ended", async () => {
  const { state, store } = failingStore();
  state.hangs = true;
  const { accountant, clock } = setUp({ store, attributes });
  const [slow, gone] = [new FakeSession(), new FakeSession()];
  const late = accountant.check("alice", slow);
  const ended = accountant.check("bob", gone);
  gone.stopping.abort(new Error("gone"));
  assertEquals((await ended)?.kind, "aborted");
  await clock.run(10_000, 1_000);
  assertMatch((await late)!.message, /usage store did not answer in 10000 ms/);
});

test("Accountant counts sessions that open while others are checked", async () => {
  const { state, store } = failingStore();
  const { accountant, settle } = setUp({ store, attributes });
  const sessions = Array.from({ length: 10 }, () => new FakeSession());
  const log = async (session: FakeSession) => {
    assertEquals(await accountant.check("alice", session), undefined);
    accountant.open("alice", session);
  };
  const all: Promise<void>[] = [];
  for (const it of sessions) {
    all.push(log(it));
    for (let i = 0; i < 3; i++) await undefined; // within a call of the store
  }
  await Promise.all(all);
  await settle();
  for (const it of sessions) it.sent = 1;
  await accountant.report();
  const [{ total }] = state.local.totals;
  assertEquals(total, { sent: 10, received: 0, sessions: 10 });
  await accountant.close();
});

test("Accountant.close() reports the rest, and waits only some seconds for a store that hangs", async () => {
  const { accountant, total } = setUp({});
  const session = new FakeSession();
  accountant.open("alice", session);
  session.sent = 1;
  await accountant.close();
  assertEquals(total("alice")?.sent, 1);

  const { state, store } = failingStore();
  state.hangs = true;
  const stuck = setUp({ store });
  stuck.accountant.open("alice", session);
  const closed = stuck.accountant.close();
  await stuck.clock.run(5_000, 1_000);
  await closed;
  assertEquals(stuck.clock.timers, 0);
});

const invalid: [name: string, lookUp: () => unknown][] = [
  ["throws", () => {
    throw new Error("the database is away");
  }],
  ["returns text", () => "50G/month"],
  ["returns null", () => null],
  ["returns a promise", () => Promise.resolve({ quota: "x" })],
  ["returns a quota of 0", () => ({ quota: { bytes: 0, per: "day" } })],
  ["returns a week", () => ({ quota: { bytes: 1, per: "week" } })],
  ["returns a date", () => ({ until: "2026-12-31" })],
  ["returns NaN", () => ({ sessions: NaN })],
  ["returns a rate below 0", () => ({ rate: -1 })],
  ["returns one address", () => ({ via: "192.0.2.1" })],
];

for (const [name, lookUp] of invalid) {
  test(`Accountant.check() refuses when the look-up ${name}`, async () => {
    const { accountant, current } = setUp({});
    current.lookUp = lookUp as () => UserAttributes;
    const refused = await accountant.check("alice", new FakeSession());
    assertMatch(refused!.message, /the attributes of the user are not known/);
  });
}

test("Accountant goes on with open sessions when the look-up fails, and reports it once", async () => {
  const { accountant, clock, current, errors } = setUp({});
  let fails = false;
  current.lookUp = () => {
    if (fails) throw new Error("away");
    return { sessions: 1 };
  };
  const session = new FakeSession();
  accountant.open("alice", session);
  accountant.open("bob", new FakeSession());
  await clock.run(2_000, 1_000);
  fails = true;
  await clock.run(5_000, 1_000);
  assertEquals(errors.length, 1);
  assertEquals(session.ended, undefined);
  fails = false;
  await clock.run(2_000, 1_000);
  fails = true;
  await clock.run(2_000, 1_000);
  assertEquals(errors.length, 2);
});

function totalsOf(user: string, usage: unknown) {
  return { user, total: usage, day: usage, month: usage };
}

const wrongAnswers: [name: string, answer: unknown][] = [
  ["nothing", undefined],
  ["no totals", []],
  ["other objects", [{ user: "alice" }]],
  ["texts, as drivers of databases do for large numbers", [
    totalsOf("alice", { sent: "99", received: "0", sessions: "1" }),
  ]],
  ["no numbers", [totalsOf("alice", { sent: NaN, received: 0, sessions: 1 })]],
  ["the totals of others", [
    totalsOf("bob", { sent: 0, received: 0, sessions: 0 }),
  ]],
];

for (const [name, answer] of wrongAnswers) {
  test(`Accountant refuses when add() returns ${name}`, async () => {
    const store = { add: () => answer } as unknown as UsageStore;
    const { accountant } = setUp({ store, attributes });
    const refused = await accountant.check("alice", new FakeSession());
    assertMatch(refused!.message, /add\(\) must return totals/);
  });
}
