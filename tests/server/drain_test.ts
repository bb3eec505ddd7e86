/** The drain delay of a shutdown. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { ServeOptions } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { test } from "../support/harness.ts";
import { hex } from "../support/raw.ts";
import {
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { octets } from "../support/table.ts";
import { readAll, readExactly } from "../transport/contract.ts";

/** Starts a server with a clock that the test advances. */
async function start(
  options: ServeOptions = {},
): Promise<TestServer & { clock: FakeClock }> {
  const clock = new FakeClock();
  const transport = { ...await detectTransport(), clock };
  return { ...await startServer({ ...options, transport }), clock };
}

/** A session with a target that echoes. */
async function connected(server: TestServer, port: number): Promise<Conn> {
  const conn = await server.client();
  const target = `7f 00 00 01 ${hex(Uint8Array.of(port >> 8, port & 255))}`;
  await conn.write(octets(`05 01 00 05 01 00 01 ${target}`));
  assertEquals(hex(await readExactly(conn, 6)), "05 00 05 00 00 01");
  await readExactly(conn, 6);
  return conn;
}

async function assertEchoes(conn: Conn): Promise<void> {
  await conn.write(octets("01 02"));
  assertEquals(hex(await readExactly(conn, 2)), "01 02");
}

function isRefused(server: TestServer): Promise<boolean> {
  return server.client().then(() => false, () => true);
}

/** The types of the events about the server itself. */
function typesOf({ events }: TestServer): string[] {
  return events.map(({ type }) => type).filter((it) =>
    it === "drain" || it === "shutdown"
  );
}

test("server.shutdown() accepts clients for the drain delay, and then has its grace time", async () => {
  const target = await startTarget(echo);
  const server = await start();
  const before = await connected(server, target.addr.port);
  const done = server.server.shutdown({ drainDelay: 5_000, grace: 10_000 });
  assertEquals(typesOf(server), ["drain"]);
  server.clock.advance(4_999);
  const during = await connected(server, target.addr.port);
  assertEquals(typesOf(server), ["drain"]);
  server.clock.advance(1);
  assertEquals(typesOf(server), ["drain", "shutdown"]);
  assertEquals(await isRefused(server), true);
  server.clock.advance(9_999);
  await assertEchoes(before);
  await assertEchoes(during);
  before.close();
  assertEquals((await server.ended()).reason, "finished");
  server.clock.advance(1);
  assertEquals((await server.ended()).reason, "closed");
  await done;
  await server.close();
  await target.close();
});

test("server.shutdown() ends a drain delay early when it is called without one", async () => {
  const target = await startTarget(echo);
  const server = await start();
  const conn = await connected(server, target.addr.port);
  const done = [
    server.server.shutdown({ drainDelay: Infinity }),
    server.server.shutdown({ drainDelay: 1_000 }),
  ];
  await connected(server, target.addr.port);
  assertEquals(typesOf(server), ["drain"]);
  done.push(server.server.shutdown({ grace: 0 }));
  assertEquals(typesOf(server), ["drain", "shutdown"]);
  await Promise.all(done);
  assertEquals(server.server.sessions.length, 0);
  assertEquals(server.clock.timers, 0);
  conn.close();
  await server.close();
  await target.close();
});

test("server.shutdown() ends without sessions when the drain delay is over", async () => {
  const server = await start();
  const done = server.server.shutdown({ drainDelay: 1_000 });
  server.clock.advance(1_000);
  await done;
  assertEquals(await isRefused(server), true);
  await server.close();
});

test("serve() keeps no connection for another HTTP request during the drain delay", async () => {
  const text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  const target = await startTarget(async (conn) => {
    await conn.write(new TextEncoder().encode(text));
  });
  const server = await start({ http: true });
  const done = server.server.shutdown({ drainDelay: 1_000 });
  const client = await server.client();
  const url = `http://127.0.0.1:${target.addr.port}/`;
  const request = `GET ${url} HTTP/1.1\r\nHost: x\r\n\r\n`;
  await client.write(new TextEncoder().encode(request));
  const answer = new TextDecoder().decode(await readAll(client));
  assertStringIncludes(answer, "HTTP/1.1 200 OK\r\n");
  assertStringIncludes(answer, "Connection: close\r\n");
  client.close();
  await server.ended();
  server.clock.advance(1_000);
  await done;
  await server.close();
  await target.close();
});
