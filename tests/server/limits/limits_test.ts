import { assert, assertEquals } from "@std/assert";
import {
  Admission,
  type ConnectionLimits,
  LocalConnectionLimiter,
} from "../../../src/server/limits/connection_limiter.ts";
import { LocalKeyedLimit } from "../../../src/server/limits/keyed_limit.ts";
import { RateLimiter } from "../../../src/server/limits/rate_limiter.ts";
import { RateLimiters } from "../../../src/server/limits/rate_limiters.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import {
  type LimitedRelayOptions,
  relayByReading,
} from "../../../src/transport/relay.ts";
import type {
  Address,
  Conn,
  Relay,
  Transport,
} from "../../../src/transport/transport.ts";
import { userPass } from "../../../src/server/auth/user_pass.ts";
import { runtime, test } from "../../support/harness.ts";
import { octets } from "../../support/table.ts";
import {
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../../support/server.ts";
import {
  assertKind,
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  readExactly,
  settled,
  until,
} from "../../transport/contract.ts";
import { type Clock, systemClock } from "../../../src/transport/clock.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import {
  ask,
  block,
  connectFrom,
  hex,
  readReply,
  udp,
  udpEcho,
} from "../../support/raw.ts";

const UNLIMITED: ConnectionLimits = {
  sessions: Infinity,
  sessionsPerClient: Infinity,
  sessionsPerUser: Infinity,
  handshakesPerClient: Infinity,
  connectionsPerSecondPerClient: Infinity,
};

function admission(
  limits: Partial<ConnectionLimits>,
  now = () => 0,
): LocalConnectionLimiter {
  const clock: Clock = { ...systemClock, now };
  return new LocalConnectionLimiter({ ...UNLIMITED, ...limits }, clock);
}

function from(hostname: string) {
  return { remoteAddr: { hostname, port: 1 } };
}

/** Lets a client in that has to be let in. */
function admitted(
  admission: LocalConnectionLimiter,
  hostname: string,
): Admission {
  const visit = admission.admit(from(hostname));
  assert(visit instanceof Admission, String(visit));
  return visit;
}

test("Quota remembers nobody who has nothing", () => {
  const quota = new LocalKeyedLimit(2);
  assertEquals([quota.acquire("a"), quota.acquire("a"), quota.acquire("a")], [
    true,
    true,
    false,
  ]);
  assertEquals([quota.hasRoom("a"), quota.hasRoom("b")], [false, true]);
  quota.release("a");
  assertEquals([quota.hasRoom("a"), quota.size], [true, 1]);
  quota.release("a");
  quota.release("a");
  assertEquals(quota.size, 0);
});

test("Admission turns away who comes when all sessions are taken", () => {
  const door = admission({ sessions: 2 });
  const visits = [admitted(door, "192.0.2.1"), admitted(door, "192.0.2.2")];
  assertEquals(door.admit(from("192.0.2.3")), "sessions");
  visits[0].release();
  visits[0].release();
  assertEquals(door.sessions, 1);
  admitted(door, "192.0.2.3");
  assertEquals(door.admit(from("192.0.2.4")), "sessions");
});

test("Admission counts the sessions of an address, and of an IPv6 /64", () => {
  const door = admission({ sessionsPerClient: 2 });
  const first = admitted(door, "2001:db8::1");
  const second = admitted(door, "2001:db8::2");
  first.handshakeDone();
  assertEquals(door.admit(from("2001:db8::3")), "sessionsPerClient");
  const other = admitted(door, "2001:db8:0:1::3");
  const plain = admitted(door, "192.0.2.1");
  first.release();
  const third = admitted(door, "2001:db8::3");
  assertEquals(door.admit(from("2001:db8::4")), "sessionsPerClient");
  for (const it of [second, other, plain, third]) it.release();
  assertEquals([door.sessions, door.size], [0, 0]);
});

test("Admission counts an address's handshakes until they are over, in whichever way", () => {
  const door = admission({ handshakesPerClient: 2 });
  const first = admitted(door, "192.0.2.1");
  const second = admitted(door, "192.0.2.1");
  assertEquals(door.admit(from("192.0.2.1")), "handshakesPerClient");
  const other = admitted(door, "192.0.2.2");
  first.handshakeDone();
  first.handshakeDone();
  const third = admitted(door, "192.0.2.1");
  assertEquals(door.admit(from("192.0.2.1")), "handshakesPerClient");
  second.release();
  const fourth = admitted(door, "192.0.2.1");
  assertEquals(door.admit(from("192.0.2.1")), "handshakesPerClient");
  for (const it of [first, other, third, fourth]) it.release();
  assertEquals([door.sessions, door.size], [0, 0]);
});

test("Admission counts an address's new connections, but not those it turned away", () => {
  let now = 0;
  const door = admission(
    { connectionsPerSecondPerClient: 10, sessionsPerClient: 25 },
    () => now,
  );
  for (let i = 0; i < 20; i++) admitted(door, "192.0.2.1");
  assertEquals(door.admit(from("192.0.2.1")), "connectionsPerSecondPerClient");
  admitted(door, "192.0.2.2");
  now = 500;
  const visits = Array.from({ length: 5 }, () => admitted(door, "192.0.2.1"));
  assertEquals(door.admit(from("192.0.2.1")), "sessionsPerClient");
  now = 600;
  for (let i = 0; i < 100; i++) {
    assertEquals(door.admit(from("192.0.2.1")), "sessionsPerClient");
  }
  visits[0].release();
  admitted(door, "192.0.2.1");
});

test("Admission counts the sessions of a user, wherever they come from", () => {
  const door = admission({ sessionsPerUser: 2 });
  const [first, second, third] = ["1", "2", "3"].map((it) =>
    admitted(door, `192.0.2.${it}`)
  );
  assertEquals([first.acquireUser("alice"), second.acquireUser("alice")], [
    true,
    true,
  ]);
  assertEquals(third.acquireUser("alice"), false);
  third.release(); // which must not give back what it did not get
  const fourth = admitted(door, "192.0.2.4");
  assertEquals([fourth.acquireUser("alice"), fourth.acquireUser("bob")], [
    false,
    true,
  ]);
  first.release();
  assertEquals(first.acquireUser("alice"), false);
  const fifth = admitted(door, "192.0.2.5");
  assertEquals(fifth.acquireUser("alice"), true);
  for (const it of [second, fourth, fifth]) it.release();
  assertEquals([door.sessions, door.size], [0, 0]);
});

test("Admission does not ask for an address that does not count", () => {
  const door = admission({ sessions: 1, sessionsPerUser: 1 });
  const conn = {
    get remoteAddr(): never {
      throw new Error("asked");
    },
  };
  assert(door.admit(conn) instanceof Admission);
  assertEquals(door.admit(conn), "sessions");
});

test("Admission takes new limits, and forgets nobody for it", () => {
  const door = admission({
    sessionsPerClient: 3,
    connectionsPerSecondPerClient: 100,
  });
  const before = [1, 2, 3].map(() => admitted(door, "192.0.2.1"));
  door.limits = { ...UNLIMITED, sessionsPerClient: 1 };
  assertEquals(door.admit(from("192.0.2.1")), "sessionsPerClient");
  door.limits = UNLIMITED;
  const uncounted = admitted(door, "192.0.2.1");
  door.limits = { ...UNLIMITED, sessionsPerClient: 4 };
  const counted = admitted(door, "192.0.2.1");
  assertEquals(door.admit(from("192.0.2.1")), "sessionsPerClient");
  for (const it of [...before, uncounted, counted]) it.release();
  assertEquals([door.sessions, door.size], [0, 0]);
});

/** Waits for a client's turning away, and tells why. */
async function rejection(server: TestServer): Promise<string> {
  const { events } = server;
  const told = () => events.find((it) => it.type === "session-rejected");
  const conn = await server.client();
  await until(() => told() !== undefined);
  await conn.read().catch(() => null);
  const event = told()!;
  events.splice(events.indexOf(event), 1);
  return event.type === "session-rejected" ? event.reason : "";
}

/** Waits until so many sessions have begun. */
async function begun(server: TestServer, count: number): Promise<void> {
  await until(() => server.server.sessions.length === count);
}

test("serve() turns an address away above limits.sessionsPerClient, and another not", async () => {
  const server = await startServer({ limits: { sessionsPerClient: 2 } });
  const first = await server.client();
  await server.client();
  await begun(server, 2);
  assertEquals(await rejection(server), "too many sessions from this address");
  const other = await connectFrom("127.0.0.2", server.server.addr);
  await begun(server, 3);
  first.close();
  await server.ended();
  await server.client();
  await begun(server, 3);
  assertEquals(await rejection(server), "too many sessions from this address");
  other.destroy();
  await server.close();
});

test("serve() turns an address away above limits.handshakesPerClient until a request is complete", async () => {
  const target = await startTarget(echo);
  const server = await startServer({ limits: { handshakesPerClient: 2 } });
  const command = `01 00 ${block(target.addr)}`;
  const served = [await ask(server, command), await ask(server, command)];
  served.push(await ask(server, command));
  await server.client();
  const second = await server.client();
  await begun(server, 5);
  const why = "too many unfinished handshakes from this address";
  assertEquals(await rejection(server), why);
  second.close();
  await server.ended();
  served.push(await ask(server, command));
  for (const { conn } of served) conn.close();
  await server.close();
  await target.close();
});

test("serve() turns an address away above limits.connectionsPerSecondPerClient", async () => {
  // So slow a machine that a second passes in between gets one more: hence the loop.
  const server = await startServer({
    limits: { connectionsPerSecondPerClient: 1 },
  });
  let before = 0;
  while (!server.events.some(({ type }) => type === "session-rejected")) {
    (await server.client()).close();
    before++;
  }
  assert(before >= 10, `${before} connections`);
  await server.close();
});

/** Logs in with a name of two letters and the password `pw`, and asks for a target. */
async function connectAs(user: string, server: TestServer, target: Address) {
  const conn = await server.client();
  const login = `01 02 ${hex(new TextEncoder().encode(user))} 02 70 77`;
  await conn.write(octets(`05 01 02 ${login} 05 01 00 ${block(target)}`));
  assertEquals(hex(await readExactly(conn, 4)), "05 02 01 00");
  return { conn, ...await readReply(conn) };
}

test("serve() refuses requests above limits.sessionsPerUser", async () => {
  const target = await startTarget(echo);
  const server = await startServer({
    auth: [userPass({ al: "pw", bo: "pw" })],
    limits: { sessionsPerUser: 1 },
  });
  const asUser = (user: string) => connectAs(user, server, target.addr);
  const first = await asUser("al");
  assertEquals([first.rep, (await asUser("bo")).rep], [0, 0]);
  assertEquals((await asUser("al")).rep, 2);
  first.conn.close();
  for (let ended = ""; ended !== "finished";) {
    ended = (await server.ended()).reason; // of the one that was refused, and of the first
  }
  assertEquals((await asUser("al")).rep, 0);
  await server.close();
  await target.close();
});

test("serve() relays under limits.bytesPerSecondPerSession, at that rate at most", async () => {
  const target = await startTarget(echo);
  const server = await startServer({
    limits: { bytesPerSecondPerSession: 1_000_000 },
  });
  const { conn } = await ask(server, `01 00 ${block(target.addr)}`);
  const sent = pattern(200_000);
  const started = performance.now();
  const got = readAll(conn);
  await conn.write(sent);
  await conn.closeWrite();
  assertSameOctets(await got, sent);
  const ms = performance.now() - started; // 400,000 octets less 100 ms' worth and two slices
  assert(ms >= 150, `${ms} ms`);
  assertEquals((await server.ended()).reason, "finished");
  conn.close();
  await server.close();
  await target.close();
});

test("serve() holds a user to limits.bytesPerSecondPerUser who comes again and again", async () => {
  const sent = pattern(20_000);
  const target = await startTarget(async (conn) => {
    await conn.write(sent);
    await conn.closeWrite();
  });
  const server = await startServer({
    auth: [userPass({ al: "pw" })],
    limits: { bytesPerSecondPerUser: 200_000 },
  });
  const started = performance.now();
  for (let i = 0; i < 6; i++) {
    const { conn } = await connectAs("al", server, target.addr);
    await conn.closeWrite();
    assertSameOctets(await readAll(conn), sent);
    assertEquals((await server.ended()).reason, "finished");
    conn.close();
  }
  const ms = performance.now() - started; // 120,000 octets less 100 ms' worth and a slice
  assert(ms >= 400, `${ms} ms`);
  await server.close();
  await target.close();
});

test("serve() drops datagrams above limits.bytesPerSecondPerSession and counts them", async () => {
  const server = await startServer({
    limits: { bytesPerSecondPerSession: 1_000 },
  });
  const echoing = await udpEcho();
  const control = await ask(server, "03 00 01 00 00 00 00 00 00");
  const client = await udp();
  const datagram = `00 00 00 ${block(echoing.addr)} ${hex(pattern(1_000))}`;
  for (let i = 0; i < 50; i++) client.send(datagram, control.bound);
  const counts = () => server.server.sessions[0].datagrams!;
  await until(() => counts().sent + counts().dropped >= 50);
  assert(counts().sent >= 1 && counts().dropped >= 30);
  control.conn.close();
  await server.ended();
  client.close();
  echoing.close();
  await server.close();
});

interface Relayed {
  readonly client: Conn;
  readonly target: Conn;
  readonly relay: Relay;
  close(): Promise<void>;
}

async function relayed(options: LimitedRelayOptions): Promise<Relayed> {
  const transport = await detectTransport();
  const left = await connectedPair(transport);
  const right = await connectedPair(transport);
  const relay = relayByReading(left.far, right.near, options);
  return {
    client: left.near,
    target: right.far,
    relay,
    async close() {
      await left.close();
      await right.close();
      await relay.done;
    },
  };
}

/** Lets time pass only while the throttle is what everyone waits for: how long it took. */
async function timeOf(
  work: Promise<unknown>,
  clock: FakeClock,
): Promise<number> {
  const started = clock.now();
  let over = false;
  const end = () => over = true;
  work.then(end, end);
  while (!over) {
    await until(() => over || clock.timers > 0);
    if (!over) clock.advance(10);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await work;
  return clock.now() - started;
}

test("relayByReading() passes all octets in order, at the throttle's rate", async () => {
  const clock = new FakeClock();
  const rateLimiter = new RateLimiter(1_000_000, clock);
  const { client, target, relay, close } = await relayed({ rateLimiter });
  const sent = pattern(2_000_000);
  const got = readAll(target);
  const ms = await timeOf(
    Promise.all([client.write(sent).then(() => client.closeWrite()), got]),
    clock,
  );
  assertSameOctets(await got, sent);
  assertEquals(relay.sent, sent.length);
  assert(ms >= 1_800 && ms <= 2_100, `${ms} ms`);
  await close();
  assertEquals([rateLimiter.waiting, clock.timers], [0, 0]);
});

test("relayByReading() holds both directions back together, and passes each FIN on behind its octets", async () => {
  const clock = new FakeClock();
  const rateLimiter = new RateLimiter(1_000_000, clock);
  const { client, target, relay, close } = await relayed({ rateLimiter });
  const [up, down] = [pattern(300_000, 1), pattern(900_000, 2)];
  const work = (async () => {
    await client.write(up);
    await client.closeWrite();
    assertSameOctets(await readAll(target), up);
    const writing = target.write(down).then(() => target.closeWrite());
    assertSameOctets(await readAll(client), down);
    await writing;
  })();
  const ms = await timeOf(work, clock);
  assert(ms >= 1_000 && ms <= 1_300, `${ms} ms`);
  assertEquals((await relay.done).reason, "finished");
  assertEquals([relay.sent, relay.received], [up.length, down.length]);
  await close();
});

test("relayByReading() takes no more than it may pass, a slice at a time", async () => {
  const clock = new FakeClock();
  const rateLimiter = new RateLimiter(1_000, clock);
  const { client, target, relay, close } = await relayed({ rateLimiter });
  await client.write(pattern(60_000));
  await until(() => rateLimiter.waiting > 0);
  assert(relay.sent <= 150, `${relay.sent} octets at once`);
  const before = relay.sent;
  clock.advance(1_000);
  await until(() => rateLimiter.waiting > 0);
  assert(relay.sent > before && relay.sent <= before + 150);
  await readExactly(target, relay.sent);
  const writing = client.write(pattern(64 * 1024 * 1024)).catch(() => {});
  const written = await Promise.race([
    writing.then(() => true),
    new Promise((resolve) => setTimeout(resolve, 50, false)),
  ]);
  assertEquals(written, false); // it stays with the client
  relay.abort();
  rateLimiter.close();
  await writing;
  await close();
});

test(
  "relayByReading() resets the other side while octets wait",
  async () => {
    const clock = new FakeClock();
    const rateLimiter = new RateLimiter(1_000, clock);
    const { client, target, relay, close } = await relayed({ rateLimiter });
    await client.write(pattern(60_000));
    await until(() => rateLimiter.waiting > 0);
    target.reset();
    const end = await relay.done;
    assertEquals([end.reason, end.side, end.error?.kind], [
      "error",
      "b",
      "reset",
    ]);
    rateLimiter.close();
    await assertKind(client.read(), "reset");
    await close();
    assertEquals([rateLimiter.waiting, clock.timers], [0, 0]);
  },
  { skip: runtime === "deno" ? "Deno can't send a reset" : undefined },
);

test("relayByReading() ends at once while octets wait, and its session leaves nothing behind", async () => {
  const clock = new FakeClock();
  const throttles = new RateLimiters(
    { bytesPerSecondPerSession: 1_000, bytesPerSecondPerUser: 1_000 },
    clock,
  );
  const rateLimiter = throttles.open("alice")!;
  const { client, target, relay, close } = await relayed({ rateLimiter });
  await client.write(pattern(60_000));
  await target.write(pattern(60_000));
  await until(() => clock.timers > 0);
  const { sent, received } = relay;
  relay.owner = { relayEnded: () => rateLimiter.close() };
  relay.abort();
  assertEquals((await relay.done).reason, "aborted");
  assertEquals(clock.timers, 0);
  clock.advance(1_000); // all is paid for
  throttles.open("bob")!.close();
  assertEquals(throttles.size, 0);
  await settled();
  assertEquals([relay.sent, relay.received], [sent, received]);
  await close();
});

test("relayByReading() is not idle while octets wait, but afterwards", async () => {
  const clock = new FakeClock();
  const rateLimiter = new RateLimiter(1_000, clock);
  const relayedPair = await relayed({ rateLimiter, idle: 300 });
  const { client, target, relay, close } = relayedPair;
  await client.write(pattern(500));
  await until(() => rateLimiter.waiting > 0);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assertEquals(relay.ended, false);
  const got = readExactly(target, 500);
  await timeOf(got, clock);
  assertSameOctets(await got, pattern(500));
  assertEquals((await relay.done).reason, "idle");
  await close();
});

/** A transport whose relays are those of users with a rate in common. */
async function throttledTransport(
  throttles: RateLimiters,
  user: string,
): Promise<Transport> {
  const transport = await detectTransport();
  return Object.assign(Object.create(transport) as Transport, {
    relay(a: Conn, b: Conn, options: object): Relay {
      const rateLimiter = throttles.open(user);
      const relay = relayByReading(a, b, { ...options, rateLimiter });
      relay.done.then(() => rateLimiter?.close());
      return relay;
    },
  });
}

test("Throttles shares a user's rate fairly between the sessions of a server", async () => {
  const clock = new FakeClock();
  const throttles = new RateLimiters(
    { bytesPerSecondPerSession: Infinity, bytesPerSecondPerUser: 500_000 },
    clock,
  );
  const target = await startTarget(echo);
  const server = await startServer({
    transport: await throttledTransport(throttles, "alice"),
  });
  const command = `01 00 ${block(target.addr)}`;
  const clients = await Promise.all(
    Array.from({ length: 8 }, () => ask(server, command)),
  );
  const sent = pattern(100_000);
  const ends: number[] = [];
  const work = Promise.all(clients.map(async ({ conn }) => {
    const got = readAll(conn);
    await conn.write(sent);
    await conn.closeWrite();
    assertSameOctets(await got, sent);
    ends.push(clock.now());
  }));
  const started = clock.now();
  const ms = await timeOf(work, clock);
  assert(ms >= 3_000 && ms <= 3_400, `${ms} ms for 1,600,000 octets`);
  const first = Math.min(...ends) - started;
  assert(first >= ms * 0.5, `the first ended after ${first} of ${ms} ms`);
  for (let i = 0; i < 8; i++) {
    assertEquals((await server.ended()).reason, "finished");
  }
  await settled();
  assertEquals(clock.timers, 0);
  clock.advance(1_000); // all is paid for
  throttles.open("bob")!.close();
  assertEquals(throttles.size, 0);
  for (const { conn } of clients) conn.close();
  await server.close();
  await target.close();
});
