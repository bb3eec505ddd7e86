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

/** Converts a connection to Web streams and back. */
function thereAndBack(conn: Conn): Conn {
  return fromStreams(toStreams(conn), conn);
}

test("fromStreams() restores the connection that toStreams() has converted", async () => {
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
  const bytes = await readExactly(conn, 60);
  conn.unread(bytes.slice(50));
  assertEquals(await readExactly(conn, 10), bytes.slice(50));
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

/** Returns a connection to a socket of `node:net`, which can reset on every runtime. */
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

test("toStreams() closes the socket when writing has failed and everything is read", async () => {
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

/** More bytes than the kernel buffers for a peer that does not read. */
const TOO_MUCH = new Uint8Array(64 * 1024 * 1024);

test(
  "toStreams() resets the connection at once when it is aborted while a write is pending",
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
  "fromStreams() releases the underlying socket at once when it is closed while a write is pending",
  async () => {
    for (const end of ["close", "reset"] as const) {
      const { near, far, close } = await connectedPair(await detectTransport());
      const conn = thereAndBack(thereAndBack(near)); // as a chain of proxies does
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

test("relay() forwards bytes and FIN both ways between a socket and streams", async () => {
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

test("relayByReading() ends when streams fail", async () => {
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
  "relay() of streams",
  (transport) => transport.relay,
  thereAndBack,
);

test("peek() of streams takes nothing, reports FIN and rejects when they are closed", async () => {
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

test(
  "fromStreams() rejects a write and a FIN that are pending when it is closed",
  async () => {
    const never = () => new Promise<never>(() => {});
    for (const command of ["close", "reset"] as const) {
      const conn = fromStreams({
        readable: new ReadableStream(),
        writable: new WritableStream({ write: never }),
      });
      const pending = [conn.write(pattern(3)), conn.closeWrite()];
      await settled(); // the sink has begun to write
      conn[command]();
      await Promise.all(pending.map((it) => assertKind(it, "closed")));
    }
  },
  { timeout: 5_000 },
);

test(
  "fromStreams() rejects reads when the stream yields text or objects",
  async () => {
    for (const value of ["text", new ArrayBuffer(3), undefined]) {
      const readable = new ReadableStream({
        start: (controller) => controller.enqueue(value),
      });
      const conn = fromStreams({ readable, writable: new WritableStream() });
      await assertKind(conn.read(), "invalid");
      conn.close();
    }
  },
  { timeout: 5_000 },
);
