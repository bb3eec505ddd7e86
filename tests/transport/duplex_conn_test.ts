/** Connections over streams of Node.js: the tests of the contract, and further ones. */

import { once } from "node:events";
import * as net from "node:net";
import process from "node:process";
import { Duplex, PassThrough, Readable } from "node:stream";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError, toConnectError } from "../../src/transport/errors.ts";
import { toConn, toStreams } from "../../src/transport/streams.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";
import { duplexPair } from "../support/duplex_pair.ts";
import { runtime, test } from "../support/harness.ts";
import {
  assertKind,
  type Check,
  connectedPair,
  pattern,
  peeks,
  readAll,
  readAndWrite,
  readExactly,
  relays,
  relaysAfterPeek,
  relaysBelowLayers,
  settled,
} from "./contract.ts";

/** The runtime's transport, except that its connections are sockets of `node:net`. */
async function socketTransport(): Promise<Transport> {
  return {
    ...await detectTransport(),
    async listen({ hostname, port }, onConn) {
      const server = net.createServer((socket) => onConn(toConn(socket)));
      server.listen(port, hostname);
      await once(server, "listening");
      const { address, port: bound } = server.address() as net.AddressInfo;
      return {
        addr: { hostname: address, port: bound },
        close() {
          server.close(); // its callback would wait for the connections
          return Promise.resolve();
        },
      };
    },
    async connect({ hostname, port }) {
      const socket = net.connect(port, hostname);
      try {
        await once(socket, "connect");
      } catch (error) {
        throw toConnectError(error);
      }
      return toConn(socket);
    },
  };
}

/** The runtime's transport, except that its connections are pairs of streams. */
async function pairTransport(): Promise<Transport> {
  const listeners: ((conn: Conn) => void)[] = [];
  return {
    ...await detectTransport(),
    listen({ hostname }, onConn) {
      const port = listeners.push(onConn);
      return Promise.resolve({
        addr: { hostname, port },
        close: () => Promise.resolve(),
      });
    },
    connect({ port }) {
      const [near, far] = duplexPair();
      listeners[port - 1](toConn(far));
      return Promise.resolve(toConn(near));
    },
  };
}

/** The faults of `node:net`. */
function gapsOfSockets(): Record<string, string> {
  if (runtime === "deno") {
    return {
      "delivers buffered bytes to a slow receiver when both sides have sent FIN":
        "node:net on Deno loses bytes that are written after the peer's FIN",
    };
  }
  if (runtime === "node" && parseInt(process.versions.node) < 24) {
    return {
      "resets a receiver that lacks bytes when it is idle":
        "Node.js before 24 reports a reset after unread bytes as the end of the stream",
    };
  }
  return {};
}

function contract(
  name: string,
  load: () => Promise<Transport>,
  gaps: Record<string, string> = {},
): void {
  const check: Check = (what, fn) => {
    const skip = Object.entries(gaps).find(([it]) => what.includes(it))?.[1];
    test(`toConn() of ${name}: ${what}`, async () => {
      await fn(await load());
      await settled();
    }, { skip });
  };
  readAndWrite(check, {});
  peeks(check);
  relays(check, {}, "relay()", ({ relay }) => relay);
  relaysAfterPeek(check, "relay()", ({ relay }) => relay);
  relaysBelowLayers(check, "relay()", ({ relay }) => relay);
}

contract("a net.Socket", socketTransport, gapsOfSockets());
contract("a Duplex", pairTransport, { keepAlive: "is about TCP" });

test("toConn() returns a connection as it is", async () => {
  const { near, close } = await connectedPair(await detectTransport());
  assertEquals(toConn(near) === near, true);
  await close();
});

test("toConn() keeps the addresses of Web streams that have them", async () => {
  const { near, far, close } = await connectedPair(await detectTransport());
  const streams = toStreams(near);
  const localAddr = { hostname: "::ffff:192.0.2.1", port: 80 };
  const conn = toConn({ ...streams, localAddr } as typeof streams);
  assertEquals(conn.localAddr, { hostname: "192.0.2.1", port: 80 });
  assertEquals(conn.remoteAddr, { hostname: "0.0.0.0", port: 0 });
  await conn.write(pattern(10));
  assertEquals(await readExactly(far, 10), pattern(10));
  await close();
});

test("toConn() throws for values that cannot be used as a connection", () => {
  const wrong: unknown[] = [
    undefined,
    null,
    "127.0.0.1:1080",
    {},
    new Readable(),
    new ReadableStream(),
    { readable: true, writable: true },
    { readable: new ReadableStream() },
  ];
  for (const it of wrong) {
    assertThrows(() => toConn(it as never), TypeError, "expected a Conn");
  }
});

test("toConn() reports the addresses of a socket, and zeros if there are none", async () => {
  const server = net.createServer();
  server.listen(0, "::");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const accepted = once(server, "connection");
  const near = toConn(net.connect(port, "127.0.0.1"));
  const [socket] = await accepted as [net.Socket];
  const far = toConn(socket);
  await near.write(pattern(1));
  assertEquals(far.localAddr, { hostname: "127.0.0.1", port });
  assertEquals(near.remoteAddr, far.localAddr);
  assertEquals(near.localAddr, far.remoteAddr);
  near.close();
  far.close();
  server.close();
  const none = { hostname: "0.0.0.0", port: 0 };
  const [stream] = duplexPair();
  assertEquals(toConn(stream).localAddr, none);
  assertEquals(toConn(stream).remoteAddr, none);
});

test("toConn() rejects reads when the stream yields text", async () => {
  const stream = new PassThrough({ encoding: "utf8" });
  const conn = toConn(stream);
  await conn.write(pattern(10));
  await assertKind(conn.read(), "invalid");
  conn.close();
});

/** Returns a stream with the given methods. */
function duplex(methods: {
  read?(this: Duplex): void;
  write?(chunk: Uint8Array, encoding: string, done: () => void): void;
  final?(done: () => void): void;
}): Duplex {
  return new Duplex({ read() {}, write() {}, ...methods });
}

test("read() of a stream reads ahead no more than the stream's own buffer", async () => {
  const size = 1024;
  let pushed = 0;
  const stream = duplex({
    read() {
      pushed += size;
      this.push(new Uint8Array(size));
    },
  });
  const most = stream.readableHighWaterMark + size;
  const conn = toConn(stream);
  let read = 0;
  for (let i = 0; i < 10; i++) {
    await settled();
    assert(pushed - read <= most, `${pushed - read} bytes are read ahead`);
    assertEquals(await conn.peek(), true);
    await settled();
    assert(pushed - read <= most, `${pushed - read} bytes are read ahead`);
    read += (await conn.read())!.length;
  }
  conn.close();
});

test("read() of a stream skips empty chunks, and write() does not send any", async () => {
  const written: number[] = [];
  const stream = new Duplex({
    readableObjectMode: true, // passes on empty chunks
    read() {},
    write(chunk, _encoding, done) {
      written.push(chunk.length);
      done();
    },
  });
  const conn = toConn(stream);
  stream.push(new Uint8Array(0));
  stream.push(pattern(3));
  stream.push(new Uint8Array(0));
  stream.push(null);
  assertEquals(await readAll(conn), pattern(3));
  await conn.write(new Uint8Array(0));
  await conn.write(pattern(2));
  await conn.write(new Uint8Array(0));
  await conn.closeWrite();
  assertEquals(written, [2]);
  await assertKind(conn.write(new Uint8Array(0)), "closed");
});

test("read() of a stream returns bytes in memory of their own, not a Buffer", async () => {
  const stream = duplex({});
  const conn = toConn(stream);
  const pool = pattern(100);
  stream.push(pool.subarray(10, 20));
  const chunk = await conn.read();
  assertEquals(chunk, pattern(100).slice(10, 20));
  chunk!.slice().fill(0); // of a Buffer, this would change the chunk
  pool.fill(0);
  assertEquals(chunk, pattern(100).slice(10, 20));
  conn.close();
});

test("read() and write() of a stream reject with the error that has destroyed it", async () => {
  const reset = Object.assign(new Error("late"), { code: "ETIMEDOUT" });
  const causes: [Error | undefined, NetError["kind"]][] = [
    [new Error("torn"), "reset"],
    [reset, "timeout"],
    [new NetError("denied"), "denied"],
    [undefined, "reset"],
  ];
  for (const [cause, kind] of causes) {
    const stream = duplex({});
    const conn = toConn(stream);
    const pending = [
      conn.read(),
      conn.peek(),
      conn.write(pattern(1)),
      conn.closeWrite(),
    ];
    const settling = Promise.all(pending.map((it) => assertKind(it, kind)));
    await settled();
    stream.destroy(cause);
    await settling;
    await assertKind(conn.read(), kind);
    await assertKind(conn.peek(), kind);
    const error = await assertRejects(() => conn.write(pattern(1)), NetError);
    assertEquals(error.kind, kind);
    if (cause && error !== cause) assertEquals(error.cause, cause);
  }
});

test("read(), peek() and write() of a stream reject when its owner destroys it and no event follows", async () => {
  const calls: ((conn: Conn) => Promise<unknown>)[] = [
    (conn) => conn.read(),
    (conn) => conn.peek(),
    (conn) => conn.write(pattern(10)),
  ];
  for (const call of calls) {
    const stream = new Duplex({ emitClose: false, read() {}, write() {} });
    const conn = toConn(stream);
    const pending = call(conn);
    await settled();
    assertEquals(stream.destroy(), stream);
    await assertKind(pending, "reset");
    conn.close();
  }
});

for (const how of ["destroy", "resetAndDestroy"] as const) {
  test(`read() of a socket rejects when its owner calls ${how}(), which is no end`, async () => {
    const server = net.createServer((peer) => peer.on("error", () => {}));
    await new Promise<void>((resolve) =>
      server.listen(0, "127.0.0.1", () => resolve())
    );
    const { port } = server.address() as net.AddressInfo;
    const socket = net.connect(port, "127.0.0.1");
    await new Promise((resolve) => socket.once("connect", resolve));
    const conn = toConn(socket);
    const pending = conn.read();
    await settled();
    socket[how]();
    await assertKind(pending, "reset");
    await new Promise((resolve) => socket.once("close", resolve));
    await assertKind(conn.read(), "reset");
    await new Promise((resolve) => server.close(resolve));
  });
}

test("write() of a stream rejects with the error of the write", async () => {
  const stream = duplex({
    write: (_chunk, _encoding, done: (error?: Error) => void) =>
      done(Object.assign(new Error("gone"), { code: "EPIPE" })),
  });
  const conn = toConn(stream);
  await assertKind(conn.write(pattern(1)), "reset");
  await assertKind(conn.read(), "reset");
  assertEquals(stream.destroyed, true);
});

test("close() and reset() of a stream reject pending calls when they never end", async () => {
  for (const end of ["close", "reset"] as const) {
    const stream = duplex({});
    const conn = toConn(stream);
    const pending = [
      conn.read(),
      conn.peek(),
      conn.write(pattern(1)),
      conn.closeWrite(),
    ];
    const settling = Promise.all(pending.map((it) => assertKind(it, "closed")));
    await settled();
    conn[end]();
    conn[end]();
    await settling;
    assertEquals(stream.destroyed, true);
    await assertKind(conn.read(), "closed");
    await assertKind(conn.peek(), "closed");
    await assertKind(conn.write(pattern(1)), "closed");
  }
});

test("close() of a stream drops unread bytes", async () => {
  const conn = toConn(duplex({}));
  conn.unread(pattern(3));
  conn.close();
  await assertKind(conn.read(), "closed");
});

test("close() of a stream ends it, and reset() destroys it with an error", async () => {
  for (const end of ["close", "reset"] as const) {
    let ended = false;
    const stream = duplex({
      final(done) {
        ended = true;
        done();
      },
    });
    const failed: Error[] = [];
    stream.on("error", (error) => failed.push(error));
    toConn(stream)[end]();
    await settled();
    assertEquals([stream.destroyed, ended], [true, end === "close"]);
    assertEquals(failed.length, end === "close" ? 0 : 1);
  }
});

test("reset() of a stream destroys it when it cannot be reset", () => {
  const stream = Object.assign(duplex({}), {
    resetAndDestroy() {
      throw new TypeError("This handle type cannot be sent");
    },
  });
  toConn(stream).reset();
  assertEquals(stream.destroyed, true);
});

test("reset() of a socket releases it while its FIN is on its way", async () => {
  const transport = await socketTransport();
  const { near, far, close } = await connectedPair(transport);
  const ending = near.closeWrite().catch((error) => error.kind);
  near.reset();
  assertEquals(await ending, "closed");
  await far.read().catch(() => null);
  await close();
});

test("toConn() leaves bytes for a later reader that arrived before it", async () => {
  const [near, far] = duplexPair();
  near.write(pattern(100));
  await settled();
  const conn = toConn(far);
  await settled();
  assertEquals(await conn.read(), pattern(100));
  near.end();
  assertEquals(await conn.read(), null);
  await conn.write(pattern(20)); // half-open
  assertEquals(new Uint8Array(near.read()), pattern(20));
  conn.close();
  near.destroy();
});

test("write() of a stream rejects with a NetError when the stream throws", async () => {
  const stream = new Duplex({
    read() {},
    write() {
      throw new Error("broken");
    },
  });
  const conn = toConn(stream);
  await assertKind(conn.write(Uint8Array.of(1)), "reset");
  conn.close();
});
