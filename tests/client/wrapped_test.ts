/** A method that wraps the connection, with this client and this server. */

import { assert, assertEquals } from "@std/assert";
import {
  bind,
  type ClientAuth,
  type Conn,
  connect,
  type ProxyConfig,
  udpAssociate,
} from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { test } from "../support/harness.ts";
import { assertSocksError, overridden } from "../support/scripted.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { octets } from "../support/table.ts";
import { BROKEN_FRAME, wrappingMethod } from "../support/wrapped_conn.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
} from "../transport/contract.ts";
import { assertEchoed, startEcho } from "./associated.ts";
import { wrapping } from "./wrapping.ts";

function startWrappingServer(): Promise<TestServer> {
  return startServer({ auth: [wrappingMethod()] });
}

function proxyOf({ server }: TestServer): ProxyConfig {
  return { protocol: "socks5h", ...server.addr };
}

test("connect() goes through a wrapping serve(), and either side may end first", async () => {
  const server = await startWrappingServer();
  const sent = pattern(300_000);

  const echoing = await startTarget(echo);
  const { auth, conns } = wrapping();
  const proxy = proxyOf(server);
  const first = await connect(proxy, echoing.addr, { auth: [auth] });
  const writing = first.write(sent).then(() => first.closeWrite());
  assertSameOctets(await readAll(first), sent);
  await writing;
  first.close();
  assert(conns[0].closed);
  assertEquals((await server.ended()).reason, "finished");

  const target = await startTarget();
  const second = await connect(proxy, target.addr, { auth: [auth] });
  const far = await target.accepted();
  await far.write(octets('"hello"'));
  await far.closeWrite();
  assertEquals(await readAll(second), octets('"hello"'));
  const answering = second.write(sent).then(() => second.closeWrite());
  assertSameOctets(await readAll(far), sent);
  await answering;
  second.close();
  assertEquals((await server.ended()).reason, "finished");

  await echoing.close();
  await target.close();
  await server.close();
});

test("connect() goes through a wrapping serve() with Web streams", async () => {
  const server = await startWrappingServer();
  const target = await startTarget(echo);
  const { auth } = wrapping();
  const conn = await connect(proxyOf(server), target.addr, { auth: [auth] });
  const sent = pattern(300_000);
  const writer = conn.writable.getWriter();
  const writing = writer.write(sent).then(() => writer.close());
  const got = new Uint8Array(await new Response(conn.readable).arrayBuffer());
  assertSameOctets(got, sent);
  await writing;
  await server.close();
  await target.close();
});

test("bind() goes through a wrapping serve(), with what the peer sends first", async () => {
  const server = await startWrappingServer();
  const { auth } = wrapping();
  const options = { auth: [auth] };
  const listener = await bind(proxyOf(server), "127.0.0.1", options);
  const peer = await (await detectTransport()).connect(listener.addr);
  await peer.write(octets('"hello"'));
  const conn = await listener.accept();
  assertEquals(conn.peerAddr, peer.localAddr);
  assertEquals(await readExactly(conn, 5), octets('"hello"'));
  await conn.write(octets('"bye"'));
  await conn.closeWrite();
  assertEquals(await readAll(peer), octets('"bye"'));
  conn.close();
  peer.close();
  await server.ended();
  await server.close();
});

test("udpAssociate() goes through a wrapping serve(), both ways and up to maxPayload()", async () => {
  const server = await startWrappingServer();
  const target = await startEcho("127.0.0.1");
  const { auth, conns } = wrapping();
  const udp = await udpAssociate(proxyOf(server), { auth: [auth] });
  await assertEchoed(udp, target.addr, target.addr);
  assertEquals(udp.maxPayload(target.addr), 65_507 - 10 - 1);
  const largest = pattern(udp.maxPayload(target.addr));
  await udp.send(largest, target.addr);
  const { value } = await udp.next();
  assertSameOctets(value![0], largest);
  assertEquals(udp.dropped, 0);
  udp.close();
  assert(conns[0].closed);
  await server.ended();
  target.close();
  await server.close();
});

test("a wrapping serve() refuses a wrong token and a client without the method", async () => {
  const server = await startWrappingServer();
  const target = await startTarget();
  const refused = connect(proxyOf(server), target.addr, {
    auth: [wrapping(0x2b).auth],
  });
  await assertSocksError(refused, "login-failed", "auth");
  assertEquals((await server.ended()).reason, "login-failed");
  const other = connect(proxyOf(server), target.addr);
  await assertSocksError(other, "no-method", "method");
  assertEquals((await server.ended()).reason, "no-method");
  assertEquals(target.conns.length, 0);
  await target.close();
  await server.close();
});

test("connect() rejects with rejected when a wrapping serve() cannot reach the target", async () => {
  const server = await startWrappingServer();
  const target = { hostname: "127.0.0.1", port: await closedPort() };
  const { auth, conns } = wrapping();
  const attempt = connect(proxyOf(server), target, { auth: [auth] });
  const error = await assertSocksError(attempt, "rejected", "request");
  assertEquals(error.reply, 5);
  assert(conns[0].closed);
  assertEquals((await server.ended()).reason, "refused");
  await server.close();
});

test("a wrapping serve() ends the session when a frame of the client is broken", async () => {
  const server = await startWrappingServer();
  const target = await startTarget();
  const { auth, conns } = wrapping();
  const negotiate: ClientAuth["negotiate"] = (exchange) =>
    auth.negotiate!({ ...exchange, take: () => breakFirst(exchange.take()) });
  const attempt = connect(proxyOf(server), target.addr, {
    auth: [{ ...auth, negotiate }],
  });
  const error = await assertSocksError(attempt, "rejected", "request");
  assertEquals(error.reply, 1);
  assert(conns[0].closed);
  assertEquals((await server.ended()).reason, "protocol-error");
  assertEquals(target.conns.length, 0);
  await target.close();
  await server.close();
});

/** Sends a broken frame in place of the first one. */
function breakFirst(conn: Conn): Conn {
  let sent = false;
  const write = (chunk: Uint8Array) => {
    const bytes = sent ? chunk : BROKEN_FRAME;
    sent = true;
    return conn.write(bytes);
  };
  return overridden(conn, { write });
}
