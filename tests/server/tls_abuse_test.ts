import { assert, assertEquals } from "@std/assert";
import { connect } from "../../src/client/mod.ts";
import type { ServeOptions } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { certificates } from "../support/certificates.ts";
import { openSockets, test } from "../support/harness.ts";
import {
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { pattern, until } from "../transport/contract.ts";
import { octets } from "../support/table.ts";

const { ca, server: own } = certificates();
const trusting = { serverName: "localhost", ca: ca.cert };

/** The head of a record, and the beginning of its ClientHello (RFC 8446 sections 4 and 5.1). */
const HALF_HELLO = octets("16 03 01 02 00 01 00 01 FC 03 03 00 11 22 33 44");

/** Opens this many connections at once. */
async function open(
  count: number,
  connectOne: () => Promise<Conn>,
): Promise<Conn[]> {
  return await Promise.all(Array.from({ length: count }, connectOne));
}

async function rawConn({ server }: TestServer): Promise<Conn> {
  return await (await detectTransport()).connect(server.addr);
}

async function tlsConn({ server }: TestServer): Promise<Conn> {
  const transport = await detectTransport();
  return await transport.connect({ ...server.addr, tls: trusting });
}

/**
 * Passes if the server closes its sockets of all these clients, which keep theirs open, and
 * ends their sessions for this reason.
 */
async function assertFreed(
  options: ServeOptions,
  reason: string,
  openAll: (proxy: TestServer) => Promise<Conn[]>,
): Promise<void> {
  const proxy = await startServer({ tls: own, ...options });
  const before = openSockets();
  const clients = await openAll(proxy);
  for (const _ of clients) {
    const end = await proxy.ended();
    assertEquals(end.reason, reason, end.error?.message);
  }
  // Some runtimes close the socket of a client that a reset has reached.
  const left = [before, before && before + clients.length];
  await until(() => left.includes(openSockets()));
  for (const it of clients) it.reset();
  await proxy.close();
}

const impatient: ServeOptions = { timeouts: { handshake: 300 } };

test("serve() releases the sockets of clients that send nothing to its TLS port", () =>
  assertFreed(
    impatient,
    "handshake-timeout",
    (proxy) => open(20, () => rawConn(proxy)),
  ));

test("serve() releases the sockets of clients that stop in the middle of a ClientHello", () =>
  assertFreed(impatient, "handshake-timeout", async (proxy) => {
    const clients = await open(10, () => rawConn(proxy));
    for (const it of clients) await it.write(HALF_HELLO);
    return clients;
  }));

test("serve() releases the sockets of clients that send nothing after the TLS handshake", () =>
  assertFreed(
    impatient,
    "handshake-timeout",
    (proxy) => open(10, () => tlsConn(proxy)),
  ));

test("serve() releases the sockets of clients that do not read", async () => {
  const floods: Promise<unknown>[] = [];
  const target = await startTarget((conn) => {
    const flood = async () => {
      for (;;) await conn.write(pattern(65_536));
    };
    floods.push(flood().catch(() => conn.close()));
  });
  await assertFreed(
    { timeouts: { idle: 400 } },
    "idle",
    (proxy) => {
      const url = `socks5+tls://127.0.0.1:${proxy.server.addr.port}`;
      const tls = { ca: ca.cert };
      return open(10, () => connect(url, target.addr, { tls }));
    },
  );
  await target.close();
  await Promise.all(floods);
});

test("serve() releases the sockets of clients that send garbage to its TLS port", () =>
  assertFreed({}, "tls-failed", async (proxy) => {
    const clients = await open(10, () => rawConn(proxy));
    for (const it of clients) await it.write(pattern(100));
    return clients;
  }));

test("limits of connections count clients before their TLS handshake", async () => {
  const limits = { sessionsPerClient: 2 };
  const proxy = await startServer({ tls: own, limits });
  const clients = await open(2, () => rawConn(proxy));
  await until(() => proxy.server.sessions.length === 2);
  const third = await rawConn(proxy);
  await until(() => proxy.events.some((it) => it.type === "session-rejected"));
  assertEquals(await third.read().catch(() => null), null);
  for (const it of [...clients, third]) it.reset();
  await proxy.close();
});

test("shutdown() closes sessions in the middle of the TLS handshake", async () => {
  const proxy = await startServer({ tls: own });
  const clients = await open(5, () => rawConn(proxy));
  for (const it of clients) await it.write(HALF_HELLO);
  await until(() => proxy.server.sessions.length === 5);
  await proxy.server.shutdown({ grace: 0 });
  for (const it of clients) {
    const end = await it.read().catch((error) => error.kind);
    assert(end === null || end === "reset", String(end));
    it.reset();
  }
  await proxy.close();
});
