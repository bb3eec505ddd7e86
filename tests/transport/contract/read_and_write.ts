/**
 * The contract of connections.
 *
 * @module
 */

import process from "node:process";
import { assertEquals } from "@std/assert";
import {
  assertKind,
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  readExactly,
  settled,
  until,
} from "../../support/conns.ts";
import { timerOf } from "../../support/tcp_timer.ts";
import { type Check, type ContractOptions, MIB } from "./check.ts";

/** The tests of reading, writing and closing. */
export function readAndWrite(check: Check, options: ContractOptions): void {
  check(
    "closeWrite() ends one direction, and the other one continues",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      await near.write(pattern(1000));
      await near.closeWrite();
      await near.closeWrite();
      await assertKind(near.write(pattern(1)), "closed");
      assertEquals(await readAll(far), pattern(1000));
      assertEquals(await far.read(), null);
      const answer = pattern(10 * MIB, 2);
      const [, got] = await Promise.all([
        far.write(answer).then(() => far.closeWrite()),
        readAll(near),
      ]);
      assertSameOctets(got, answer);
      await close();
    },
  );

  check(
    "write() and closeWrite() keep their order when none is awaited",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      // More than the kernel accepts at once
      const parts = [8 * MIB, 10, 3 * MIB].map((it, i) => pattern(it, i));
      const writes = parts.map((it) => near.write(it));
      const closing = near.closeWrite();
      await assertKind(near.write(pattern(1)), "closed");
      const [got] = await Promise.all([readAll(far), closing, ...writes]);
      const sent = new Uint8Array(11 * MIB + 10);
      parts.reduce((at, it) => (sent.set(it, at), at + it.length), 0);
      assertSameOctets(got, sent);
      await close();
    },
  );

  check(
    "read() returns bytes, and their FIN, that arrived before it",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      await near.write(pattern(100));
      await near.closeWrite();
      await settled();
      assertEquals(await readAll(far), pattern(100));
      await close();
    },
  );

  check(
    "unread() puts bytes in front of the stream, even after its end",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      await near.write(pattern(8));
      await near.closeWrite();
      const bytes = await readExactly(far, 8);
      assertEquals(await far.read(), null);
      far.unread(bytes.slice(4));
      far.unread(bytes.slice(0, 4));
      assertEquals(await readAll(far), bytes);
      await close();
    },
  );

  check("read() returns a chunk that its caller owns", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(100, 1));
    const first = await readExactly(far, 100);
    await near.write(pattern(100, 2));
    const second = await readExactly(far, 100);
    assertEquals(first, pattern(100, 1));
    assertEquals(second, pattern(100, 2));
    await close();
  });

  check(
    "write() resolves only when a slow reader has read enough",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      const sent = pattern(64 * MIB);
      let written = false;
      const writing = near.write(sent).then(() => {
        written = true;
        return near.closeWrite();
      });
      await new Promise((resolve) => setTimeout(resolve, 100));
      assertEquals(written, false);
      const got = await readAll(far);
      await writing;
      assertSameOctets(got, sent);
      await close();
    },
  );

  check(
    "close() ends both directions once, and calls reject with closed",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      const pending = near.read();
      near.close();
      near.close();
      await assertKind(pending, "closed");
      await assertKind(near.read(), "closed");
      await assertKind(near.write(pattern(1)), "closed");
      assertEquals(await far.read(), null);
      await close();
    },
  );

  check(
    "write() rejects with reset when the peer is gone",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      far.close();
      await assertKind(
        (async () => {
          while (true) {
            await near.write(pattern(1000));
            await settled();
          }
        })(),
        "reset",
      );
      await close();
    },
  );

  if (process.platform === "linux") {
    check(
      "keepAlive() makes the kernel probe a silent peer",
      async (transport) => {
        for (const hostname of ["127.0.0.1", "::1"]) {
          const { near, far, close } = await connectedPair(transport, hostname);
          for (const conn of [near, far]) {
            await until(() => timerOf(conn) === "00"); // everything is confirmed
            conn.keepAlive!();
            assertEquals(timerOf(conn), "02");
          }
          await close();
          near.keepAlive!(); // no error on a closed connection
        }
      },
    );
  }

  const seen = options.noReset ? "the end of the stream" : "a reset";
  check(`reset() is ${seen} for the peer`, async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(10));
    assertEquals(await readExactly(far, 10), pattern(10));
    const pending = far.read();
    near.reset();
    near.reset();
    if (options.noReset) assertEquals(await pending, null);
    else await assertKind(pending, "reset");
    await close();
  });
}
