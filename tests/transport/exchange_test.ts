import { assertEquals, assertThrows } from "@std/assert";
import { ConnExchange } from "../../src/transport/exchange.ts";
import {
  type MessageDecoder,
  MessageReader,
} from "../../src/transport/message_reader.ts";
import { NetError } from "../../src/transport/errors.ts";
import { toConn } from "../../src/transport/streams.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { duplexPair } from "../support/duplex_pair.ts";
import { test } from "../support/harness.ts";
import { scriptedConn } from "../support/scripted_conn.ts";
import { assertKind, readAll, readExactly, settled } from "./contract.ts";

/** A length of one byte, then as many bytes; refuses a length of 255. */
const decode: MessageDecoder<string> = ([length, ...bytes]) => {
  if (length === 255) throw new RangeError("too long");
  if (bytes.length < length) return undefined;
  return {
    value: String.fromCharCode(...bytes.slice(0, length)),
    size: 1 + length,
  };
};

function encode(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return Uint8Array.of(bytes.length, ...bytes);
}

function start(): { exchange: ConnExchange; conn: Conn; peer: Conn } {
  const [conn, peer] = duplexPair().map(toConn);
  return {
    exchange: new ConnExchange(conn, new MessageReader(conn)),
    conn,
    peer,
  };
}

test("ConnExchange.read() returns messages that arrive split or joined", async () => {
  const { exchange, peer } = start();
  const bytes = Uint8Array.of(...encode("one"), ...encode("two"));
  for (const at of bytes.keys()) {
    const reading = Promise.all([
      exchange.read(decode).then(async (first) => [
        first,
        await exchange.read(decode),
      ]),
      peer.write(bytes.slice(0, at)),
    ]);
    await settled();
    await peer.write(bytes.slice(at));
    assertEquals((await reading)[0], ["one", "two"]);
  }
  peer.close();
  exchange.take().close();
});

test("ConnExchange.read() rejects with the errors of the decoder and of the connection", async () => {
  const { exchange, peer } = start();
  await peer.write(Uint8Array.of(255));
  const error = await exchange.read(decode).catch((error) => error);
  assertEquals(error instanceof RangeError, true);
  exchange.take().close();

  const other = start();
  await other.peer.write(Uint8Array.of(3, 65));
  await other.peer.closeWrite();
  await assertKind(other.exchange.read(decode), "ended");
  other.exchange.take().close();
  peer.close();
  other.peer.close();
});

test("ConnExchange.write() sends a message", async () => {
  const { exchange, conn, peer } = start();
  const { read, write } = exchange; // as a method may do
  await write(encode("hello"));
  await peer.write(encode("world"));
  assertEquals(await readExactly(peer, 6), encode("hello"));
  assertEquals(await read(decode), "world");
  conn.close();
  peer.close();
});

test("ConnExchange.take() returns the connection, with the bytes that were read ahead", async () => {
  const { exchange, conn, peer } = start();
  await peer.write(Uint8Array.of(...encode("login"), ...encode("next")));
  await peer.closeWrite();
  assertEquals(await exchange.read(decode), "login");
  const taken = exchange.take();
  assertEquals(taken === conn, true);
  assertEquals(await readAll(taken), encode("next"));
  await taken.write(encode("bye"));
  assertEquals(await readExactly(peer, 4), encode("bye"));
  taken.close();
  peer.close();
});

test("ConnExchange rejects reads and writes, and throws in take(), when the connection was taken", async () => {
  const { exchange, peer } = start();
  await peer.write(encode("unread"));
  const taken = exchange.take();
  await assertKind(exchange.read(decode), "closed");
  await assertKind(exchange.write(encode("lost")), "closed");
  const error = assertThrows(() => exchange.take(), NetError);
  assertEquals(error.kind, "closed");
  assertEquals(await readExactly(taken, 7), encode("unread"));
  await taken.closeWrite();
  assertEquals(await readAll(peer), new Uint8Array(0));
  taken.close();
  peer.close();
});

test("MessageReader.read() returns a message that is undefined", async () => {
  const { exchange, peer } = start();
  const skip: MessageDecoder<undefined> = () => ({ value: undefined, size: 1 });
  await peer.write(Uint8Array.of(0, ...encode("one")));
  assertEquals(await exchange.read(skip), undefined);
  assertEquals(await exchange.read(decode), "one");
}, { timeout: 5_000 });

test("MessageReader.release() unreads nothing when nothing is left", () => {
  const unread: Uint8Array[] = [];
  const conn = Object.assign(scriptedConn(), {
    unread: (chunk: Uint8Array) => void unread.push(chunk),
  });
  new MessageReader(conn).release();
  assertEquals(unread, []);
});
