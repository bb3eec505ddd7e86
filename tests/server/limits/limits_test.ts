import { assert, assertEquals } from "@std/assert";
import { userPass } from "../../../src/server/auth/user_pass.ts";
import { test } from "../../support/harness.ts";
import {
  ask,
  block,
  connectAs,
  connectFrom,
  hex,
  udp,
  udpEcho,
} from "../../support/raw.ts";
import {
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../../support/server.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  until,
} from "../../transport/contract.ts";

/** Connects a client, waits until it is rejected, and returns the reason. */
async function rejection(server: TestServer): Promise<string> {
  const { events } = server;
  const rejected = () => events.find((it) => it.type === "session-rejected");
  const conn = await server.client();
  await until(() => rejected() !== undefined);
  await conn.read().catch(() => null);
  const event = rejected()!;
  events.splice(events.indexOf(event), 1);
  return event.type === "session-rejected" ? event.reason : "";
}

/** Waits until there are this many sessions. */
async function sessionsOf(server: TestServer, count: number): Promise<void> {
  await until(() => server.server.sessions.length === count);
}

test("serve() rejects clients of one address beyond limits.sessionsPerClient, and no other client", async () => {
  const server = await startServer({ limits: { sessionsPerClient: 2 } });
  const first = await server.client();
  await server.client();
  await sessionsOf(server, 2);
  assertEquals(await rejection(server), "too many sessions from this address");
  const other = await connectFrom("127.0.0.2", server.server.addr);
  await sessionsOf(server, 3);
  first.close();
  await sessionsOf(server, 2);
  await server.client();
  await sessionsOf(server, 3);
  assertEquals(await rejection(server), "too many sessions from this address");
  other.destroy();
  await server.close();
});

test("serve() rejects clients of one address beyond limits.handshakesPerClient until a request is complete", async () => {
  const target = await startTarget(echo);
  const server = await startServer({ limits: { handshakesPerClient: 2 } });
  const command = `01 00 ${block(target.addr)}`;
  const served = [await ask(server, command), await ask(server, command)];
  served.push(await ask(server, command));
  await server.client();
  const second = await server.client();
  await sessionsOf(server, 5);
  const why = "too many unfinished handshakes from this address";
  assertEquals(await rejection(server), why);
  second.close();
  await sessionsOf(server, 4);
  served.push(await ask(server, command));
  for (const { conn } of served) conn.close();
  await server.close();
  await target.close();
});

test("serve() rejects clients of one address beyond limits.connectionsPerSecondPerClient", async () => {
  // A loop, because a slow machine may admit another client when a second has passed.
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

test("serve() refuses requests beyond limits.sessionsPerUser", async () => {
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
    ended = (await server.ended()).reason; // of the refused session, and of the first one
  }
  assertEquals((await asUser("al")).rep, 0);
  await server.close();
  await target.close();
});

test("serve() relays at most limits.bytesPerSecondPerSession", async () => {
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
  const ms = performance.now() - started; // 400,000 bytes less 100 ms' worth and two slices
  assert(ms >= 150, `${ms} ms`);
  assertEquals((await server.ended()).reason, "finished");
  conn.close();
  await server.close();
  await target.close();
});

test("serve() limits a user who reconnects repeatedly to limits.bytesPerSecondPerUser", async () => {
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
  const ms = performance.now() - started; // 120,000 bytes less 100 ms' worth and a slice
  assert(ms >= 400, `${ms} ms`);
  await server.close();
  await target.close();
});

test("serve() drops datagrams beyond limits.bytesPerSecondPerSession and counts them", async () => {
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
