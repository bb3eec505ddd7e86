/** The connections that the client returns, as `Conn`s. */

import { Duplex } from "node:stream";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  bind,
  connect,
  NetError,
  type SocksConn,
} from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { toStreams } from "../../src/transport/streams.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { type Script, startProxy, withConns } from "../support/scripted.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import { TARGET } from "../support/socks5_wire.ts";
import { join, octets } from "../support/table.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
} from "../transport/contract.ts";

const SCRIPT: Script = [
  ["05 01 00", "05 00"],
  ["05 01 00 01 C0 00 02 01 00 50", '05 00 00 01 0A 00 00 01 12 34 "hello"'],
];

/** A connection through a scripted proxy whose target has sent `hello`. */
async function connected(
  use: (conn: SocksConn, far: Conn, rest: Promise<Uint8Array>) => Promise<void>,
  override: Partial<Conn> = {},
): Promise<void> {
  const server = await startProxy(SCRIPT);
  const proxy = { protocol: "socks5", ...server.addr } as const;
  const conn = await connect(proxy, TARGET, await withConns(override));
  await use(conn, server.conns[0], server.rest);
  conn.close();
  await server.close();
}

test("a connection peeks, reads and takes bytes back like any other", async () => {
  await connected(async (conn) => {
    assertEquals(await conn.peek(), true);
    const hello = await readExactly(conn, 5);
    assertEquals(hello, octets('"hello"'));
    conn.unread(hello);
    assertEquals(await conn.peek(), true);
    assertEquals(await conn.read(), hello);
  });
});

test("close() after the end of a stream that Duplex.fromWeb() has made causes no error", async () => {
  for (const when of ["end", "later"]) {
    await connected(async (conn, far) => {
      const { readable, writable } = conn;
      const pair = { readable, writable } as ReadableWritablePair;
      const duplex = Duplex.fromWeb(
        pair as Parameters<typeof Duplex.fromWeb>[0],
      );
      const over = new Promise<unknown>((resolve) => {
        duplex.on("error", resolve);
        duplex.on("close", () => resolve("closed"));
      });
      if (when === "end") duplex.on("end", () => conn.close());
      else duplex.on("end", () => setTimeout(() => conn.close()));
      const got: Uint8Array[] = [];
      duplex.on("data", (chunk) => got.push(chunk));
      await far.closeWrite();
      assertEquals(await over, "closed");
      assertEquals(join(...got), octets('"hello"'));
    });
  }
});

test("a connection has the addresses of the connection to the proxy", async () => {
  await connected((conn, far) => {
    assertEquals(conn.localAddr, far.remoteAddr);
    assertEquals(conn.remoteAddr, far.localAddr);
    assertEquals(conn.boundAddr, { hostname: "10.0.0.1", port: 0x1234 });
    assertEquals(conn.inner.localAddr, conn.localAddr);
    return Promise.resolve();
  });
});

test("close() of a connection makes its reads reject with closed", async () => {
  await connected(async (conn) => {
    conn.close();
    conn.close();
    const error = await assertRejects(() => conn.read(), NetError);
    assertEquals(error.kind, "closed");
  });
});

test("reset() and keepAlive() of a connection reach the connection to the proxy", async () => {
  const calls: string[] = [];
  await connected((conn) => {
    calls.length = 0; // connect() has enabled it as well
    conn.keepAlive!();
    conn.reset();
    assertEquals(calls, ["keepAlive", "reset"]);
    return Promise.resolve();
  }, {
    keepAlive: () => void calls.push("keepAlive"),
    reset: () => void calls.push("reset"),
  });
});

test("keepAlive() of a connection does nothing if the transport lacks it", async () => {
  const server = await startProxy(SCRIPT);
  const near = await (await detectTransport()).connect(server.addr);
  const { readable, writable } = toStreams(near);
  const proxy = { protocol: "socks5", hostname: "unused" } as const;
  const conn = await connect(proxy, TARGET, { conn: { readable, writable } });
  conn.keepAlive!();
  assertEquals(await readExactly(conn, 5), octets('"hello"'));
  conn.close();
  near.close();
  await server.close();
});

test("a relay forwards the bytes that arrived with the reply, and then those of the connection", async () => {
  const transport = await detectTransport();
  const sent = pattern(300_000);
  await connected(async (conn, far, rest) => {
    const target = await startTarget();
    const other = await transport.connect(target.addr);
    const peer = await target.accepted();
    const relay = transport.relay(conn, other);
    const writing = far.write(sent).then(() => far.closeWrite());
    const got = await readAll(peer);
    assertEquals(got.slice(0, 5), octets('"hello"'));
    assertSameOctets(got.subarray(5), sent);
    await writing;
    await peer.write(octets('"bye"'));
    await peer.closeWrite();
    assertEquals(await rest, octets('"bye"'));
    assertEquals((await relay.done).reason, "finished");
    await target.close();
  });
});

test("connect() and bind() return connections that serve as `conn` of another call", async () => {
  const target = await startTarget(echo);
  const [first, second] = [await startServer(), await startServer()];
  const near = { protocol: "socks5", ...first.server.addr } as const;
  const listener = await bind(near, "127.0.0.1");
  const transport = await detectTransport();
  const peer = await transport.connect(listener.addr);
  const upstream = await transport.connect(second.server.addr);
  const relay = transport.relay(peer, upstream); // the peer is a way to the second proxy
  const hop = await listener.accept();
  const proxy = { protocol: "socks5", hostname: "unused" } as const;
  const conn = await connect(proxy, target.addr, { conn: hop });
  await conn.write(pattern(1000));
  assertEquals(await readExactly(conn, 1000), pattern(1000));
  assertEquals(conn.inner, hop);
  conn.close();
  await relay.done;
  await first.close();
  await second.close();
  await target.close();
});

test("an accepted connection has the address of its peer in addition to those of the proxy", async () => {
  const server = await startServer();
  const proxy = { protocol: "socks5", ...server.server.addr } as const;
  const listener = await bind(proxy, "127.0.0.1");
  const peer = await (await detectTransport()).connect(listener.addr);
  const conn = await listener.accept();
  assertEquals(conn.peerAddr, peer.localAddr);
  assertEquals(conn.remoteAddr, server.server.addr);
  assertEquals(conn.boundAddr, listener.addr);
  assert(conn.localAddr.port > 0);
  conn.close();
  peer.close();
  await server.close();
});
