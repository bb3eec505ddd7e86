/** The connection of GSSAPI, and the protection of its messages. */

import { assert, assertEquals } from "@std/assert";
import { Protection } from "../../src/gssapi/protection.ts";
import { WrappedConn } from "../../src/gssapi/wrapped_conn.ts";
import { encodeMessage, MESSAGE } from "../../src/protocol/gssapi.ts";
import { test } from "../support/harness.ts";
import { scriptedConn } from "../support/scripted_conn.ts";
import { ScriptedGss, token } from "../support/scripted_gss.ts";
import { join, octets } from "../support/table.ts";
import {
  assertKind,
  assertSameOctets,
  pattern,
  readAll,
} from "../transport/contract.ts";

function protection(level: 1 | 2 = 2): [Protection, ScriptedGss] {
  const provider = new ScriptedGss();
  return [new Protection(provider.accept(), level), provider];
}

function message(data: Uint8Array, number: number): Uint8Array {
  const type = MESSAGE.data;
  return encodeMessage({ type, token: token(data, true, number) });
}

/** A connection that delivers these chunks. */
function wrapped(...chunks: Uint8Array[]): WrappedConn {
  return new WrappedConn(scriptedConn(...chunks), protection()[0]);
}

/** The most data of a token, with the overhead of the scripted mechanism. */
const LIMIT = 65_535 - 4;

for (const size of [1, 2, LIMIT - 1, LIMIT, LIMIT + 1, 3 * LIMIT, 1_000_000]) {
  test(`WrappedConn sends and receives ${size} bytes at once`, async () => {
    const raw = scriptedConn();
    const sender = new WrappedConn(raw, protection()[0]);
    const data = pattern(size);
    await sender.write(data);
    for (const sent of raw.sent) assert(sent.length <= 5 * 65_539);
    assertSameOctets(await readAll(wrapped(...raw.sent)), data);
  });
}

for (const size of [1, 3, 5, 1_000, 65_536]) {
  test(`WrappedConn reads messages that arrive in chunks of ${size}`, async () => {
    const lengths = [1, 0, 10, 65_531, 0, 0, 40_000, 2, 65_000, 7];
    const parts = lengths.map((it, i) => pattern(it, i + 1));
    const stream = join(...parts.map(message));
    const chunks: Uint8Array[] = [];
    const step = size === 1 ? 1_024 : size;
    // The first 200 octets one by one, if the chunks are that small.
    for (let at = 0; at < stream.length;) {
      const length = at < 200 ? size : step;
      chunks.push(stream.slice(at, at + length));
      at += length;
    }
    assertSameOctets(await readAll(wrapped(...chunks)), join(...parts));
  });
}

test("WrappedConn delivers what came before a broken message, and no more after it", async () => {
  const conn = wrapped(join(
    message(octets('"good"'), 0),
    octets("01 01"),
    message(octets('"lost"'), 1),
  ));
  assertEquals(await conn.read(), octets('"good"'));
  for (let i = 0; i < 2; i++) {
    const error = await conn.read().catch((it) => it);
    assertEquals([error.name, error.code], ["ProtocolError", "message"]);
  }
});

test("WrappedConn reads null at FIN, and rejects when FIN comes in the middle of a message", async () => {
  const whole = message(octets('"data"'), 0);
  assertEquals((await readAll(wrapped(whole))).length, 4);
  for (const length of [1, 3, 4, whole.length - 1]) {
    await assertKind(readAll(wrapped(whole.slice(0, length))), "ended");
  }
});

test("WrappedConn returns bytes to the start of the stream, the last ones first", async () => {
  const conn = wrapped(message(octets('"c"'), 0));
  assertEquals(await conn.peek(), true);
  conn.unread(octets('"b"'));
  conn.unread(octets('"a"'));
  conn.unread(new Uint8Array(0));
  assertEquals(await conn.peek(), true);
  assertEquals(await readAll(conn), octets('"abc"'));
  assertEquals(await conn.peek(), false);
});

test("WrappedConn rejects writes after closeWrite(), and reading goes on", async () => {
  const conn = wrapped(message(octets('"data"'), 0));
  await conn.closeWrite();
  await assertKind(conn.write(octets("00")), "closed");
  assertEquals(await conn.read(), octets('"data"'));
});

test("WrappedConn sends long writes one after the other, and FIN after them", async () => {
  const raw = scriptedConn();
  const finAt: number[] = [];
  raw.closeWrite = () => Promise.resolve(void finAt.push(raw.sent.length));
  // As a connection does: a write takes its time.
  const { write } = raw;
  raw.write = async (chunk) => {
    await write(chunk);
    await new Promise<void>((resolve) => setTimeout(resolve));
  };
  const conn = new WrappedConn(raw, protection()[0]);
  const parts = [600_000, 10, 300_000].map((it, i) => pattern(it, i + 1));
  const writes = parts.map((it) => conn.write(it));
  const closing = conn.closeWrite();
  await assertKind(conn.write(octets("00")), "closed");
  await Promise.all([...writes, closing]);
  assertEquals(finAt, [raw.sent.length]);
  assertSameOctets(await readAll(wrapped(...raw.sent)), join(...parts));
});

for (const end of ["close", "reset"] as const) {
  test(`WrappedConn.${end}() ends the connection below and the context`, async () => {
    const [codec, provider] = protection();
    const raw = scriptedConn(message(octets('"data"'), 0));
    const conn = new WrappedConn(raw, codec);
    assertEquals(provider.open, 1);
    conn[end]();
    conn[end]();
    assertEquals([raw.closed, provider.open], [true, 0]);
    await assertKind(conn.read(), "closed");
    await assertKind(conn.peek(), "closed");
    await assertKind(conn.write(octets("00")), "closed");
    assertEquals(raw.sent, []);
  });
}

test("WrappedConn sends nothing for an empty write", async () => {
  const raw = scriptedConn();
  const conn = new WrappedConn(raw, protection()[0]);
  await conn.write(new Uint8Array(0));
  assertEquals(raw.sent, []);
});

/** A row: numbers in the sequence, in the order of arrival, and which are delivered. */
const sequences: readonly (readonly [number[], number[]])[] = [
  [[0, 1, 2], [0, 1, 2]],
  [[0, 0, 1], [0, 1]],
  [[2, 0, 1], [2, 0, 1]],
  [[5, 5, 5, 9], [5, 9]],
];

for (const [arrivals, delivered] of sequences) {
  test(`Protection delivers datagrams ${delivered} of ${arrivals}`, () => {
    const [codec] = protection();
    const { unwrap } = codec.datagrams();
    const got = arrivals.map((it) => unwrap(message(Uint8Array.of(it), it)));
    const found = got.flatMap((it) => it ? [...it] : []);
    assertEquals(found, delivered);
  });
}

/** Datagrams that are not of the peer. */
const strangers: readonly (readonly [string, Uint8Array])[] = [
  ["empty", octets("")],
  ["a SOCKS datagram", octets("00 00 00 01 7F 00 00 01 00 35 AA")],
  ["too short", message(octets("AA"), 0).slice(0, -1)],
  ["too long", join(message(octets("AA"), 0), octets("00"))],
  ["two messages", join(message(octets("AA"), 0), message(octets("AA"), 1))],
  ["another type", octets("01 02 00 01 02")],
  [
    "only signed",
    encodeMessage({
      type: MESSAGE.data,
      token: token(octets("AA"), false, 0),
    }),
  ],
  [
    "tampered with",
    message(octets("AA"), 0).map((it, i) => i === 6 ? it + 1 : it),
  ],
];

for (const [name, datagram] of strangers) {
  test(`Protection drops a datagram that is ${name}`, () => {
    const [codec] = protection();
    const { unwrap } = codec.datagrams();
    assertEquals(unwrap(datagram), undefined);
    assertEquals(unwrap(message(octets("BB"), 7)), octets("BB"));
  });
}

test("Protection drops datagrams after it was closed", () => {
  const [codec] = protection();
  const { unwrap } = codec.datagrams();
  codec.close();
  assertEquals(unwrap(message(octets("AA"), 0)), undefined);
});

test("Protection does not judge the order of the stream once datagrams share its sequence", () => {
  const [codec] = protection();
  const { unwrap } = codec.datagrams();
  assertEquals(unwrap(message(octets("AA"), 3)), octets("AA"));
  assertEquals(codec.unwrap(message(octets("BB"), 1)), octets("BB"));
  const again = () => codec.unwrap(message(octets("BB"), 1));
  let error: unknown;
  try {
    again();
  } catch (it) {
    error = it;
  }
  assert(error instanceof Error && error.message.includes("duplicate"));
});

test("Protection accepts encrypted messages at level 1, and sends signed ones", () => {
  const [codec] = protection(1);
  assertEquals(codec.unwrap(message(octets("AA"), 0)), octets("AA"));
  assertEquals(
    codec.wrap(octets("AA")),
    encodeMessage({
      type: MESSAGE.data,
      token: token(octets("AA"), false, 0),
    }),
  );
});
