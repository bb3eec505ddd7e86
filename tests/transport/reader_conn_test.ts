/** The tests of the contract with connections over objects that read into a buffer. */

import { assertEquals } from "@std/assert";
import { detectTransport } from "../../src/transport/detect.ts";
import type { BufferReader } from "../../src/transport/reader_conn.ts";
import { type DuplexStreams, toConn } from "../../src/transport/streams.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";
import { runtime, test } from "../support/harness.ts";
import {
  assertKind,
  type Check,
  pattern,
  peeks,
  readAll,
  readAndWrite,
  relays,
  relaysAfterPeek,
  settled,
} from "./contract.ts";

/** Has the methods of a `Deno.Conn`; its streams must not be used. */
function bufferReader(conn: Conn): BufferReader & DuplexStreams {
  return {
    async read(buffer) {
      const chunk = await conn.read();
      if (chunk === null) return null;
      const part = chunk.subarray(0, buffer.length);
      buffer.set(part);
      conn.unread(chunk.subarray(part.length));
      return part.length;
    },
    async write(chunk) {
      const part = chunk.subarray(0, 100_000);
      await conn.write(part);
      return part.length;
    },
    closeWrite: () => conn.closeWrite(),
    close: () => conn.close(),
    readable: new ReadableStream(),
    writable: new WritableStream(),
  };
}

/** The runtime's transport, with connections over a {@linkcode BufferReader}. */
async function readerTransport(): Promise<Transport> {
  const native = await detectTransport();
  const convert = (conn: Conn) => {
    const { localAddr, remoteAddr } = conn;
    return toConn(Object.assign(bufferReader(conn), { localAddr, remoteAddr }));
  };
  return {
    ...native,
    listen: (at, onConn) => native.listen(at, (it) => onConn(convert(it))),
    connect: async (to) => convert(await native.connect(to)),
  };
}

const check: Check = (what, fn) => {
  if (what.startsWith("keepAlive()")) return; // has none
  test(`toConn() of a BufferReader: ${what}`, async () => {
    await fn(await readerTransport());
    await settled();
  });
};

readAndWrite(check, { noReset: true });
peeks(check);
relays(check, { noReset: true }, "relay()", ({ relay }) => relay);
relaysAfterPeek(check, "relay()", ({ relay }) => relay);

interface DenoConn extends DuplexStreams {
  close(): void;
}

/** A connection of user code, and its peer. */
async function denoConn(): Promise<{ source: DenoConn; peer: Conn }> {
  const { Deno } = globalThis as unknown as {
    Deno: { connect(to: { port: number }): Promise<DenoConn> };
  };
  const { listen } = await detectTransport();
  let accepted!: (conn: Conn) => void;
  const peer = new Promise<Conn>((resolve) => accepted = resolve);
  const listener = await listen({ hostname: "127.0.0.1", port: 0 }, accepted);
  const source = await Deno.connect(listener.addr);
  await listener.close();
  return { source, peer: await peer };
}

const skip = runtime === "deno" ? undefined : "needs Deno.connect()";

test(
  "toConn() of a Deno.Conn may be half-closed, and has its addresses",
  async () => {
    for (const first of ["conn", "peer"] as const) {
      const { source, peer } = await denoConn();
      const conn = toConn(source);
      assertEquals(conn.localAddr, peer.remoteAddr);
      assertEquals(conn.remoteAddr, peer.localAddr);
      const [early, late] = first === "conn" ? [conn, peer] : [peer, conn];
      await early.write(pattern(10));
      await early.closeWrite();
      assertEquals(await readAll(late), pattern(10));
      await late.write(pattern(20));
      await late.closeWrite();
      assertEquals(await readAll(early), pattern(20));
      conn.close();
      peer.close();
    }
  },
  { skip },
);

test(
  "toConn() of a Deno.Conn rejects reads when its owner has closed it",
  async () => {
    const { source, peer } = await denoConn();
    const conn = toConn(source);
    const pending = assertKind(conn.read(), "reset");
    source.close();
    await pending;
    conn.close();
    await assertKind(conn.read(), "closed");
    peer.close();
  },
  { skip },
);

test("toConn() of a BufferReader skips empty reads", async () => {
  const lengths = [0, 0, 3, 0];
  const source: BufferReader & DuplexStreams = {
    read: () => Promise.resolve(lengths.shift() ?? null),
    write: (chunk) => Promise.resolve(chunk.length),
    closeWrite: () => Promise.resolve(),
    close: () => {},
    readable: new ReadableStream(),
    writable: new WritableStream(),
  };
  const conn = toConn(source);
  assertEquals(await conn.read(), new Uint8Array(3));
  assertEquals(await conn.peek(), false);
  conn.close();
});
