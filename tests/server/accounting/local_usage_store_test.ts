/** What users have transferred, by days and months of UTC. */

import { assertEquals } from "@std/assert";
import { LocalUsageStore, type Usage } from "../../../src/server/mod.ts";
import { test } from "../../support/harness.ts";

const use = (sent: number, received = 0, sessions = 0): Usage => (
  { sent, received, sessions }
);
const ZERO = use(0);

/** A store whose time the test sets. */
function storeAt(time: string) {
  const clock = { time };
  const now = () => Date.parse(clock.time);
  return { clock, store: new LocalUsageStore({ now }), now };
}

test("LocalUsageStore.add() returns the totals of the users in the order of the reports", () => {
  const { store } = storeAt("2026-11-29T12:00:00Z");
  const once = { total: use(1, 2, 3), day: use(1, 2, 3), month: use(1, 2, 3) };
  assertEquals(
    store.add([{ user: "b", ...use(1, 2, 3) }, { user: "a", ...ZERO }]),
    [
      { user: "b", ...once },
      { user: "a", total: ZERO, day: ZERO, month: ZERO },
    ],
  );
  // A report of zeros leaves nothing.
  assertEquals(store.totals, [{ user: "b", ...once }]);
  const twice = { total: use(2, 4, 6), day: use(2, 4, 6), month: use(2, 4, 6) };
  assertEquals(store.add([{ user: "b", ...use(1, 2, 3) }]), [
    { user: "b", ...twice },
  ]);
});

test("LocalUsageStore begins days and months at midnight UTC", () => {
  const { clock, store } = storeAt("2026-11-29T23:59:59.999Z");
  const add = (sent: number) => {
    const [{ total, day, month }] = store.add([{ user: "a", ...use(sent) }]);
    return [total.sent, day.sent, month.sent];
  };
  assertEquals(add(1), [1, 1, 1]);
  clock.time = "2026-11-30T00:00:00Z";
  assertEquals(add(0), [1, 0, 1]);
  assertEquals(add(2), [3, 2, 3]);
  clock.time = "2026-12-01T00:00:00Z";
  assertEquals(store.totals[0].month.sent, 0);
  assertEquals(add(4), [7, 4, 4]);
  clock.time = "2027-12-01T00:00:00Z";
  assertEquals(add(8), [15, 8, 8]);
});

test("LocalUsageStore goes on with a day when the clock is set back a little, and with the right day when it was wrong", () => {
  const { clock, store } = storeAt("2026-12-01T00:00:01Z");
  const add = (sent: number) => {
    const [{ total, day, month }] = store.add([{ user: "a", ...use(sent) }]);
    return [total.sent, day.sent, month.sent];
  };
  assertEquals(add(1), [1, 1, 1]);
  clock.time = "2026-11-30T23:59:59Z";
  assertEquals(add(1), [2, 2, 2]);
  clock.time = "2026-12-01T00:00:02Z";
  assertEquals(add(1), [3, 3, 3]);
  clock.time = "2031-01-01T00:00:00Z"; // a mistake
  assertEquals(add(1), [4, 1, 1]);
  clock.time = "2026-12-01T00:00:03Z";
  assertEquals(add(1), [5, 1, 1]);
});

test("LocalUsageStore goes on with the records of another", () => {
  const { clock, store, now } = storeAt("2026-11-30T12:00:00Z");
  store.add([{ user: "a", ...use(1, 1, 1) }, { user: "b", ...use(2) }]);
  const records = JSON.parse(JSON.stringify(store.records));
  const sent = () => {
    const later = new LocalUsageStore({ records, now });
    const totals = later.add([{ user: "a", ...use(10) }]);
    assertEquals(later.totals.length, 2);
    return totals.map((it) => [it.total.sent, it.day.sent, it.month.sent])[0];
  };
  assertEquals(sent(), [11, 11, 11]);
  clock.time = "2026-12-01T12:00:00Z";
  assertEquals(sent(), [11, 10, 10]);
});

test("LocalUsageStore.set() takes totals, whose day and month end here", () => {
  let now = Date.UTC(2026, 10, 29, 23);
  const store = new LocalUsageStore({ now: () => now });
  const usage = (sent: number) => ({ sent, received: 0, sessions: 1 });
  const totals = { total: usage(9), day: usage(2), month: usage(5) };
  store.add([{ user: "alice", ...usage(1_000) }]);
  const none = { sent: 0, received: 0, sessions: 0 };
  store.set([
    { user: "alice", ...totals },
    { user: "nobody", total: none, day: none, month: none },
  ]);
  assertEquals(store.totals, [{ user: "alice", ...totals }]);
  now += 3_600_000;
  assertEquals(store.totals, [{ user: "alice", ...totals, day: none }]);
  now += 86_400_000;
  const [alice] = store.add([{ user: "alice", ...usage(1) }]);
  assertEquals(alice.month, usage(1));
});
