import { assert, assertEquals } from "@std/assert";
import { Admission } from "../../../src/server/limits/admission.ts";
import { LocalConnectionLimiter } from "../../../src/server/limits/connection_limiter.ts";
import type { ConnectionLimits } from "../../../src/server/limits/limit_table.ts";
import { type Clock, systemClock } from "../../../src/transport/clock.ts";
import { test } from "../../support/harness.ts";

const UNLIMITED: ConnectionLimits = {
  sessions: Infinity,
  sessionsPerClient: Infinity,
  sessionsPerUser: Infinity,
  handshakesPerClient: Infinity,
  connectionsPerSecondPerClient: Infinity,
};

function limiterOf(
  limits: Partial<ConnectionLimits>,
  now = () => 0,
): LocalConnectionLimiter {
  const clock: Clock = { ...systemClock, now };
  return new LocalConnectionLimiter({ ...UNLIMITED, ...limits }, clock);
}

function from(hostname: string) {
  return { remoteAddr: { hostname, port: 1 } };
}

/** Admits a client that must not be rejected. */
function admitted(
  limiter: LocalConnectionLimiter,
  hostname: string,
): Admission {
  const admission = limiter.admit(from(hostname));
  assert(admission instanceof Admission, String(admission));
  return admission;
}

test("LocalConnectionLimiter.admit() rejects clients beyond the limit of sessions", () => {
  const limiter = limiterOf({ sessions: 2 });
  const admissions = [
    admitted(limiter, "192.0.2.1"),
    admitted(limiter, "192.0.2.2"),
  ];
  assertEquals(limiter.admit(from("192.0.2.3")), "sessions");
  admissions[0].release();
  admissions[0].release();
  assertEquals(limiter.sessions, 1);
  admitted(limiter, "192.0.2.3");
  assertEquals(limiter.admit(from("192.0.2.4")), "sessions");
});

test("LocalConnectionLimiter.admit() counts the sessions of an address, and of an IPv6 /64", () => {
  const limiter = limiterOf({ sessionsPerClient: 2 });
  const first = admitted(limiter, "2001:db8::1");
  const second = admitted(limiter, "2001:db8::2");
  first.handshakeDone();
  assertEquals(limiter.admit(from("2001:db8::3")), "sessionsPerClient");
  const other = admitted(limiter, "2001:db8:0:1::3");
  const plain = admitted(limiter, "192.0.2.1");
  first.release();
  const third = admitted(limiter, "2001:db8::3");
  assertEquals(limiter.admit(from("2001:db8::4")), "sessionsPerClient");
  for (const it of [second, other, plain, third]) it.release();
  assertEquals([limiter.sessions, limiter.size], [0, 0]);
});

test("LocalConnectionLimiter.admit() counts the handshakes of an address until they are done or their sessions end", () => {
  const limiter = limiterOf({ handshakesPerClient: 2 });
  const first = admitted(limiter, "192.0.2.1");
  const second = admitted(limiter, "192.0.2.1");
  assertEquals(limiter.admit(from("192.0.2.1")), "handshakesPerClient");
  const other = admitted(limiter, "192.0.2.2");
  first.handshakeDone();
  first.handshakeDone();
  const third = admitted(limiter, "192.0.2.1");
  assertEquals(limiter.admit(from("192.0.2.1")), "handshakesPerClient");
  second.release();
  const fourth = admitted(limiter, "192.0.2.1");
  assertEquals(limiter.admit(from("192.0.2.1")), "handshakesPerClient");
  for (const it of [first, other, third, fourth]) it.release();
  assertEquals([limiter.sessions, limiter.size], [0, 0]);
});

test("LocalConnectionLimiter.admit() counts new connections of an address, except rejected ones", () => {
  let now = 0;
  const limiter = limiterOf(
    { connectionsPerSecondPerClient: 10, sessionsPerClient: 25 },
    () => now,
  );
  for (let i = 0; i < 20; i++) admitted(limiter, "192.0.2.1");
  assertEquals(
    limiter.admit(from("192.0.2.1")),
    "connectionsPerSecondPerClient",
  );
  admitted(limiter, "192.0.2.2");
  now = 500;
  const admissions = Array.from(
    { length: 5 },
    () => admitted(limiter, "192.0.2.1"),
  );
  assertEquals(limiter.admit(from("192.0.2.1")), "sessionsPerClient");
  now = 600;
  for (let i = 0; i < 100; i++) {
    assertEquals(limiter.admit(from("192.0.2.1")), "sessionsPerClient");
  }
  admissions[0].release();
  admitted(limiter, "192.0.2.1");
});

test("Admission.acquireUser() counts the sessions of a user from all addresses", () => {
  const limiter = limiterOf({ sessionsPerUser: 2 });
  const [first, second, third] = ["1", "2", "3"].map((it) =>
    admitted(limiter, `192.0.2.${it}`)
  );
  assertEquals([first.acquireUser("alice"), second.acquireUser("alice")], [
    true,
    true,
  ]);
  assertEquals(third.acquireUser("alice"), false);
  third.release(); // must not release a slot that it did not acquire
  const fourth = admitted(limiter, "192.0.2.4");
  assertEquals([fourth.acquireUser("alice"), fourth.acquireUser("bob")], [
    false,
    true,
  ]);
  first.release();
  assertEquals(first.acquireUser("alice"), false);
  const fifth = admitted(limiter, "192.0.2.5");
  assertEquals(fifth.acquireUser("alice"), true);
  for (const it of [second, fourth, fifth]) it.release();
  assertEquals([limiter.sessions, limiter.size], [0, 0]);
});

test("LocalConnectionLimiter.admit() does not read an address that nothing limits", () => {
  const limiter = limiterOf({ sessions: 1, sessionsPerUser: 1 });
  const conn = {
    get remoteAddr(): never {
      throw new Error("asked");
    },
  };
  assert(limiter.admit(conn) instanceof Admission);
  assertEquals(limiter.admit(conn), "sessions");
});

test("LocalConnectionLimiter.limits keeps the slots of open sessions when it is set", () => {
  const limiter = limiterOf({
    sessionsPerClient: 3,
    connectionsPerSecondPerClient: 100,
  });
  const before = [1, 2, 3].map(() => admitted(limiter, "192.0.2.1"));
  limiter.limits = { ...UNLIMITED, sessionsPerClient: 1 };
  assertEquals(limiter.admit(from("192.0.2.1")), "sessionsPerClient");
  limiter.limits = UNLIMITED;
  const uncounted = admitted(limiter, "192.0.2.1");
  limiter.limits = { ...UNLIMITED, sessionsPerClient: 4 };
  const counted = admitted(limiter, "192.0.2.1");
  assertEquals(limiter.admit(from("192.0.2.1")), "sessionsPerClient");
  for (const it of [...before, uncounted, counted]) it.release();
  assertEquals([limiter.sessions, limiter.size], [0, 0]);
});
