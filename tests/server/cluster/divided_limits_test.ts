import { LocalUsageStore } from "../../../src/server/accounting/local_usage_store.ts";
import { assertEquals, assertRejects } from "@std/assert";
import {
  executeCalls,
  RemoteLimitsStore,
} from "../../../src/cli/workers/remote_store.ts";
import type { CallResult } from "../../../src/cli/workers/messages.ts";
import { Lockout } from "../../../src/server/auth/lockout.ts";
import { Coordinator } from "../../../src/server/cluster/coordinator.ts";
import { DividedLimits } from "../../../src/server/cluster/divided_limits.ts";
import type { PassRequest } from "../../../src/server/cluster/store.ts";
import { CountingStore } from "../../support/counting_store.ts";
import { test } from "../../support/harness.ts";
import { deferred } from "../../support/world.ts";

const accounting = new LocalUsageStore();

/** A store of several machines that also guards logins. */
class MachinesStore extends CountingStore {
  readonly #lockout = new Lockout({ failedLogins: 1 });
  isLocked = (client: string) => this.#lockout.isLocked(client);
  failed = (client: string) => this.#lockout.failed(client);
  succeeded = (client: string) => this.#lockout.succeeded(client);
}

const here = { limit: "sessions", key: "" } as const;
const there = { limit: "sessionsPerUser", key: "al" } as const;

function divided() {
  const coordinator = new Coordinator();
  const store = new MachinesStore();
  const open = () =>
    new DividedLimits(coordinator.open(), store, [
      "sessionsPerUser",
      "bytesPerSecondPerUser",
    ]);
  return { coordinator, store, open };
}

test("DividedLimits counts each limit where it belongs, all or none", async () => {
  const { coordinator, store, open } = divided();
  const limits = open();
  const both = [{ ...here, max: 2 }, { ...there, max: 1 }];
  assertEquals(await limits.acquire(both), null);
  assertEquals(await limits.acquire(both), "sessionsPerUser");
  assertEquals(await limits.acquire([both[0]]), null);
  assertEquals(await limits.acquire(both), "sessions");
  assertEquals([...store.counts], [["sessionsPerUser al", 1]]);
  store.answer = () => Promise.reject(new Error("gone"));
  await limits.release(here);
  await assertRejects(() => limits.acquire(both), Error, "gone");
  assertEquals(await limits.acquire([both[0]]), null);
  for (let i = 0; i < 2; i++) await limits.release(here);
  await limits.release(there);
  await limits.release(there); // which it does not hold
  assertEquals([coordinator.size, store.counts.size], [0, 0]);
});

test("DividedLimits.close() releases what a worker holds, and what it is granted later", async () => {
  const { coordinator, store, open } = divided();
  const [crashed, other] = [open(), open()];
  const request = [{ ...there, max: 9 }];
  await crashed.acquire(request);
  await crashed.acquire([{ ...here, max: 9 }]);
  await crashed.forceAcquire(there, 2);
  await other.acquire(request);
  const late = deferred<void>();
  store.answer = async (grant) => {
    const granted = grant();
    await late.promise;
    return granted;
  };
  const pending = crashed.acquire(request);
  crashed.close();
  assertEquals(coordinator.size, 0);
  late.resolve();
  await pending;
  assertEquals([...store.counts], [["sessionsPerUser al", 1]]);
});

test("DividedLimits gives requests of different workers different tickets", async () => {
  const { store, open } = divided();
  const requests: PassRequest[] = [];
  const waits = [deferred<void>(), deferred<void>()];
  store.passed = (request) => {
    requests.push(request);
    return waits[requests.length - 1].promise;
  };
  const [one, two] = [open(), open()];
  const request = { ticket: 1, user: "al", bytes: 1, perSecond: 1 };
  const passes = [one.pass(request), two.pass(request)];
  await two.cancel(1);
  assertEquals(store.cancelled, [requests[1].ticket]);
  assertEquals(requests[0].ticket === requests[1].ticket, false);
  for (const it of waits) it.resolve();
  await Promise.all(passes);
  await two.cancel(1);
  assertEquals(store.cancelled.length, 1);
});

test("DividedLimits counts failed logins in the other store", () => {
  const { open } = divided();
  const [one, two] = [open(), open()];
  one.failed("192.0.2.1");
  assertEquals(two.isLocked("192.0.2.1"), true);
  assertEquals(two.succeeded("192.0.2.1"), false);
});

test("RemoteLimitsStore rejects when a call of the supervisor fails", async () => {
  const { store, open } = divided();
  const limits = open();
  const remote = new RemoteLimitsStore((calls) => {
    executeCalls(
      { limits, accounting },
      calls,
      (results) => remote.onResults(results),
    );
  });
  store.answer = () => Promise.reject(new Error("gone"));
  await assertRejects(
    () => remote.acquire([{ ...there, max: 1 }]),
    Error,
    "gone",
  );
  store.passed = () => Promise.reject(new Error("gone"));
  await assertRejects(
    () => remote.pass({ ticket: 1, user: "al", bytes: 1, perSecond: 1 }),
    Error,
    "gone",
  );
  store.answer = (grant) => grant();
  assertEquals(await remote.acquire([{ ...there, max: 1 }]), null);
});

test("executeCalls() survives notifications that fail", async () => {
  const { store, open } = divided();
  const limits = open();
  await limits.acquire([{ ...there, max: 1 }]);
  store.released = () => Promise.reject(new Error("gone"));
  const results: CallResult[] = [];
  executeCalls({ limits, accounting }, [[null, "release", [there]]], (it) => {
    results.push(...it);
  });
  for (let i = 0; i < 20; i++) await undefined;
  assertEquals(results, []);
});
