import { once } from "node:events";
import * as net from "node:net";
import { assertEquals, assertRejects } from "@std/assert";
import { detectTransport } from "../../src/transport/detect.ts";
import { relayByReading } from "../../src/transport/relay.ts";
import { fromStreams, toStreams } from "../../src/transport/streams.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";
import { NetError } from "../../src/transport/errors.ts";
import { test } from "../support/harness.ts";
import {
  assertKind,
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  readExactly,
  relaysAfterPeek,
  settled,
} from "./contract.ts";

/** A connection seen through both adapters. */
function thereAndBack(conn: Conn): Conn {
  return fromStreams(toStreams(conn), conn);
}

test("fromStreams() of toStreams() is the same connection", async () => {
  const { near, far, close } = await connectedPair(await detectTransport());
  const conn = thereAndBack(near);
  assertEquals(conn.remoteAddr, far.localAddr);
  const sent = pattern(3_000_000);
  const [, got] = await Promise.all([
    conn.write(sent).then(() => conn.closeWrite()),
    readAll(far),
  ]);
  assertSameOctets(got, sent);
  await far.write(pattern(100));
  const octets = await readExactly(conn, 60);
  conn.unread(octets.slice(50));
  assertEquals(await readExactly(conn, 10), octets.slice(50));
  await conn.closeWrite();
  await assertKind(conn.write(pattern(1)), "closed");
  await far.closeWrite();
  assertEquals(await readAll(conn), pattern(100).slice(60));
  await close();
});

test("fromStreams() rejects reads and writes after close() and reset()", async () => {
  for (const end of ["close", "reset"] as const) {
    const { near, far, close } = await connectedPair(await detectTransport());
    const conn = thereAndBack(near);
    const pending = conn.read();
    conn[end]();
    conn[end]();
    await assertKind(pending, "closed");
    await assertKind(conn.read(), "closed");
    await assertKind(conn.write(pattern(1)), "closed");
    await far.read().catch(() => null);
    await close();
  }
});

/** A connection whose peer is of node:net, which can send a reset on every runtime. */
async function resettable(): Promise<{ conn: Conn; peer: net.Socket }> {
  const listener = net.createServer({ allowHalfOpen: true });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const accepted = once(listener, "connection");
  const { port } = listener.address() as net.AddressInfo;
  const transport = await detectTransport();
  const conn = await transport.connect({ hostname: "127.0.0.1", port });
  const [peer] = await accepted as [net.Socket];
  peer.on("error", () => {});
  listener.close();
  return { conn, peer };
}

test("toStreams() closes the socket when reading fails", async () => {
  const { conn, peer } = await resettable();
  const { readable } = toStreams(conn);
  const reading = readable.getReader().read();
  peer.resetAndDestroy();
  await assertKind(reading, "reset");
  await assertKind(conn.read(), "closed");
});

test("toStreams() closes the socket when writing fails, but not before all is read", async () => {
  const { conn, peer } = await resettable();
  const { readable, writable } = toStreams(conn);
  peer.end("the end");
  await once(peer, "finish");
  const reader = readable.getReader();
  assertEquals((await reader.read()).value?.length, 7);
  const writer = writable.getWriter();
  peer.destroy();
  await assertRejects(async () => {
    while (true) {
      await writer.write(pattern(1000));
      await settled();
    }
  }, NetError);
  const end = await reader.read().catch(({ kind }) => kind);
  if (end !== "reset") assertEquals(end.done, true);
  await assertKind(conn.read(), "closed");
});

/** More than the kernel keeps for a peer that does not read. */
const TOO_MUCH = new Uint8Array(64 * 1024 * 1024);

test(
  "abort() of toStreams() ends the connection at once, also while its peer does not read",
  async () => {
    const { near, far, close } = await connectedPair(await detectTransport());
    const { readable, writable } = toStreams(near);
    const writer = writable.getWriter();
    const closed = assertRejects(() => writer.closed);
    const writing = assertRejects(() => writer.write(TOO_MUCH));
    await settled();
    await writer.abort();
    await Promise.all([writing, closed]);
    await assertKind(readable.getReader().read(), "closed");
    await readAll(far).catch((error) => assertEquals(error.kind, "reset"));
    await close();
  },
  { timeout: 10_000 },
);

test(
  "close() and reset() of fromStreams() free the socket below at once, also while a write waits",
  async () => {
    for (const end of ["close", "reset"] as const) {
      const { near, far, close } = await connectedPair(await detectTransport());
      const conn = thereAndBack(thereAndBack(near)); // as in a chain of proxies
      const writing = assertKind(conn.write(TOO_MUCH), "closed");
      await settled();
      conn[end]();
      await writing;
      await assertKind(near.read(), "closed");
      await readAll(far).catch((error) => assertEquals(error.kind, "reset"));
      await close();
    }
  },
  { timeout: 10_000 },
);

test("a relay between a socket and streams passes octets and FIN both ways", async () => {
  const transport = await detectTransport();
  const left = await connectedPair(transport);
  const right = await connectedPair(transport);
  const relay = transport.relay(left.far, thereAndBack(right.near));
  const [up, down] = [pattern(2_000_000, 1), pattern(1_000_000, 2)];
  const [, , gotUp, gotDown] = await Promise.all([
    left.near.write(up).then(() => left.near.closeWrite()),
    right.far.write(down).then(() => right.far.closeWrite()),
    readAll(right.far),
    readAll(left.near),
  ]);
  assertSameOctets(gotUp, up);
  assertSameOctets(gotDown, down);
  assertEquals((await relay.done).reason, "finished");
  assertEquals([relay.sent, relay.received], [up.length, down.length]);
  await left.close();
  await right.close();
});

test("a relay ends when its streams fail", async () => {
  const transport = await detectTransport();
  const { near, far, close } = await connectedPair(transport);
  const broken = fromStreams({
    readable: new ReadableStream({
      start: (it) => it.error(new Error("torn")),
    }),
    writable: new WritableStream(),
  });
  const end = await relayByReading(far, broken).done;
  assertEquals([end.reason, end.side, end.error?.kind], [
    "error",
    "b",
    "reset",
  ]);
  await near.read().catch(() => null);
  await close();
});

relaysAfterPeek(
  (what: string, fn: (transport: Transport) => Promise<void>) =>
    test(what, async () => {
      await fn(await detectTransport());
      await settled();
    }),
  "a relay of streams",
  (transport) => transport.relay,
  thereAndBack,
);

test("peek() of streams takes nothing, sees FIN and ends with close()", async () => {
  const { near, far, close } = await connectedPair(await detectTransport());
  const conn = thereAndBack(near);
  const peeking = conn.peek();
  await far.write(pattern(9));
  assertEquals(await peeking, true);
  conn.unread(pattern(3, 2));
  assertEquals(
    await readExactly(conn, 12),
    Uint8Array.of(...pattern(3, 2), ...pattern(9)),
  );
  const next = conn.read();
  await far.closeWrite();
  assertEquals([await next, await conn.peek()], [null, false]);
  await close();

  for (const end of ["close", "reset"] as const) {
    const { near, far, close } = await connectedPair(await detectTransport());
    const conn = thereAndBack(near);
    const peeking = conn.peek();
    conn.peek();
    conn[end]();
    await assertKind(peeking, "closed");
    await assertKind(conn.peek(), "closed");
    await far.read().catch(() => null);
    await close();
  }
});
