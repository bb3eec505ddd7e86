/** The count of failed logins, and its bounds. */

import { assertEquals, assertThrows } from "@std/assert";
import { Lockout } from "../../../src/server/auth/lockout.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";

const LOCKOUT = 300_000;

function start(options: { failedLogins?: number; lockout?: number } = {}) {
  const clock = new FakeClock();
  const lockout = new Lockout({ ...options, clock });
  return { clock, lockout };
}

function fail(lockout: Lockout, client: string, times: number): number[] {
  return Array.from({ length: times }, () => {
    lockout.failed(client);
    return lockout.delayOf(client);
  });
}

/** One of many addresses, each in a /64 of its own. */
function address(number: number): string {
  return `2001:db8:${(number >> 16).toString(16)}:${
    (number & 0xffff).toString(16)
  }::1`;
}

test("Lockout delays answers from the third failure on, then locks the address out", () => {
  const { clock, lockout } = start();
  const delays = fail(lockout, "192.0.2.1", 9);
  assertEquals(delays, [0, 0, 250, 500, 1000, 2000, 4000, 4000, 4000]);
  assertEquals(lockout.isLocked("192.0.2.1"), false);
  lockout.failed("192.0.2.1");
  assertEquals(lockout.isLocked("192.0.2.1"), true);
  assertEquals(lockout.delayOf("192.0.2.1"), 0);
  assertEquals(lockout.isLocked("192.0.2.2"), false);
  clock.advance(LOCKOUT - 1);
  lockout.failed("192.0.2.1"); // does not prolong it
  assertEquals(lockout.isLocked("192.0.2.1"), true);
  clock.advance(1);
  assertEquals(lockout.isLocked("192.0.2.1"), false);
  assertEquals(fail(lockout, "192.0.2.1", 3), [0, 0, 250]);
});

test("Lockout forgets failures after a success, and after the time of a lockout without a failure", () => {
  const { clock, lockout } = start({ failedLogins: 3, lockout: 1_000 });
  fail(lockout, "192.0.2.1", 2);
  lockout.succeeded("192.0.2.1");
  fail(lockout, "192.0.2.1", 2);
  clock.advance(1_000);
  fail(lockout, "192.0.2.1", 2);
  assertEquals(lockout.isLocked("192.0.2.1"), false);
  clock.advance(999);
  lockout.failed("192.0.2.1");
  assertEquals(lockout.isLocked("192.0.2.1"), true);
});

test("Lockout never locks an address out when failedLogins or lockout is 0", () => {
  const slow = start({ failedLogins: 0 }).lockout;
  assertEquals(fail(slow, "192.0.2.1", 100).at(-1), 4000);
  assertEquals(slow.isLocked("192.0.2.1"), false);
  const off = start({ failedLogins: 1, lockout: 0 }).lockout;
  assertEquals(fail(off, "192.0.2.1", 100).at(-1), 0);
  assertEquals(off.isLocked("192.0.2.1"), false);
});

test("Lockout delays clients without an address, but never locks them out", () => {
  const { lockout } = start({ failedLogins: 3 });
  for (const client of ["unix:/run/proxy.sock", "fd:3", ""]) {
    assertEquals(fail(lockout, client, 9).at(-1), 4000);
    assertEquals(lockout.isLocked(client), false);
    assertEquals(lockout.succeeded(client), true);
    assertEquals(fail(lockout, client, 3), [0, 0, 250]);
  }
  for (const client of ["192.0.2.1", "2001:db8::1", "fe80::1%eth0"]) {
    fail(lockout, client, 3);
    assertEquals(lockout.isLocked(client), true);
  }
});

test("Lockout throws when an option is not a count", () => {
  for (const bad of [-1, 1.5, NaN, Infinity]) {
    assertThrows(() => new Lockout({ failedLogins: bad }), TypeError, "failed");
    assertThrows(() => new Lockout({ lockout: bad }), TypeError, "lockout");
  }
});

test("Lockout keeps an address locked until 10,000 others are locked", () => {
  const { lockout } = start({ failedLogins: 2 });
  fail(lockout, "192.0.2.1", 2);
  for (let i = 0; i < 30_000; i++) lockout.failed(address(i));
  assertEquals(lockout.isLocked("192.0.2.1"), true);
  for (let i = 0; i < 9_999; i++) fail(lockout, address(i), 2);
  assertEquals(lockout.isLocked("192.0.2.1"), true);
  // One more than there is room for: only the oldest is forgotten.
  fail(lockout, address(9_999), 2);
  assertEquals(lockout.isLocked("192.0.2.1"), false);
  assertEquals(lockout.isLocked(address(0)), true);
});

test("Lockout forgets the failures of an address only after 10,000 others have failed, even when 10,000 are locked", () => {
  const { lockout } = start({ failedLogins: 3 });
  for (let i = 0; i < 10_000; i++) fail(lockout, address(i), 3);
  for (let round = 0; round < 3; round++) {
    for (let i = 20_000; i < 30_000; i++) lockout.failed(address(i));
  }
  assertEquals(lockout.isLocked(address(20_000)), true);
  fail(lockout, "192.0.2.1", 2);
  for (let i = 40_000; i < 50_000; i++) lockout.failed(address(i));
  lockout.failed("192.0.2.1");
  assertEquals(lockout.isLocked("192.0.2.1"), false);
});

test("Lockout.locked() lists the clients that are locked out now", () => {
  const { clock, lockout } = start({ failedLogins: 3 });
  fail(lockout, "192.0.2.9", 2); // not locked out
  fail(lockout, "192.0.2.1", 3);
  clock.advance(1_000);
  fail(lockout, "2001:db8::5", 3);
  const [last, first, ...others] = lockout.locked();
  assertEquals(others, []);
  assertEquals([last.client, first.client], ["2001:db8::/64", "192.0.2.1"]);
  assertEquals([last.failed, first.failed], [3, 3]);
  assertEquals(last.until - first.until < 1_100, true);
  assertEquals(Math.abs(last.until - Date.now() - LOCKOUT) < 1_000, true);
  clock.advance(LOCKOUT - 1_000);
  assertEquals(lockout.locked().map((it) => it.client), ["2001:db8::/64"]);
  clock.advance(1_000);
  assertEquals(lockout.locked(), []);
});

test("Lockout.unlock() forgets the failures of one client, or of all", () => {
  const { clock, lockout } = start({ failedLogins: 3 });
  for (const it of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) {
    fail(lockout, it, 3);
  }
  fail(lockout, "192.0.2.9", 2);
  assertEquals(lockout.unlock("192.0.2.7"), 0);
  assertEquals(lockout.unlock("::ffff:192.0.2.1"), 1);
  assertEquals(lockout.unlock("192.0.2.1"), 0);
  assertEquals(lockout.isLocked("192.0.2.1"), false);
  fail(lockout, "192.0.2.1", 2); // counted from 0
  assertEquals(lockout.isLocked("192.0.2.1"), false);
  assertEquals(lockout.unlock("192.0.2.9"), 0);
  fail(lockout, "192.0.2.9", 1);
  assertEquals(lockout.isLocked("192.0.2.9"), false);
  assertEquals(lockout.unlock(), 2);
  assertEquals(lockout.locked(), []);
  clock.advance(1);
  fail(lockout, "192.0.2.1", 1);
  assertEquals(lockout.isLocked("192.0.2.1"), false);
});
