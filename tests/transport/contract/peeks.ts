/**
 * The contract of {@linkcode Conn.peek}.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  assertKind,
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  readExactly,
} from "../../support/conns.ts";
import { type Check, MIB } from "./check.ts";

/** The tests of {@linkcode Conn.peek}. */
export function peeks(check: Check): void {
  check("peek() waits for bytes and takes none", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    const peeking = far.peek();
    await near.write(pattern(300));
    assertEquals(await peeking, true);
    assertEquals(await far.peek(), true);
    assertEquals(await readExactly(far, 200), pattern(300).slice(0, 200));
    assertEquals(await far.peek(), true); // unread bytes
    assertEquals(await readExactly(far, 100), pattern(300).slice(200));
    await close();
  });

  check("peek() reports FIN each time", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    const peeking = far.peek();
    await near.closeWrite();
    assertEquals(await peeking, false);
    assertEquals(await far.peek(), false);
    assertEquals(await far.read(), null);
    assertEquals(await far.peek(), false);
    far.unread(pattern(2));
    assertEquals(await far.peek(), true);
    await close();
  });

  check("peek() reports bytes before their FIN", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(7));
    await near.closeWrite();
    assertEquals(await far.peek(), true);
    assertEquals(await readAll(far), pattern(7));
    assertEquals(await far.peek(), false);
    await close();
  });

  check(
    "read() returns everything in order when peek() is waiting",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      const sent = pattern(3 * MIB);
      far.peek();
      const reading = readAll(far);
      await near.write(sent);
      await near.closeWrite();
      assertSameOctets(await reading, sent);
      await close();
    },
  );

  check(
    "peek() rejects with closed when the connection is closed meanwhile",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      const peeking = far.peek();
      far.close();
      await assertKind(peeking, "closed");
      await assertKind(far.peek(), "closed");
      await assertKind(far.read(), "closed");
      near.peek().catch(() => {});
      await close();
    },
  );

  check("close() drops bytes that peek() has reported", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(5));
    assertEquals(await far.peek(), true);
    far.close();
    await assertKind(far.peek(), "closed");
    await assertKind(far.read(), "closed");
    await close();
  });

  check(
    "peek() causes no unhandled rejection when it is not awaited",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      near.peek();
      far.peek();
      await close();
    },
  );
}
