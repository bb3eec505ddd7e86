/**
 * The contract of relays.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type {
  Conn,
  RelayOptions,
  Transport,
} from "../../../src/transport/transport.ts";
import {
  assertKind,
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  readExactly,
  settled,
} from "../../support/conns.ts";
import { withClock } from "../../support/skipping_clock.ts";
import {
  type Check,
  type ContractOptions,
  MIB,
  type RelayFunction,
} from "./check.ts";

interface Relayed {
  readonly client: Conn;
  readonly target: Conn;
  readonly relay: ReturnType<RelayFunction>;
  close(): Promise<void>;
}

/** The tests of a relay function. */
export function relays(
  check: Check,
  contract: ContractOptions,
  what: string,
  relayOf: (transport: Transport) => RelayFunction,
): void {
  const start = async (
    transport: Transport,
    options?: RelayOptions,
    before?: (client: Conn, a: Conn) => Promise<void>,
  ): Promise<Relayed> => {
    const left = await connectedPair(transport);
    const right = await connectedPair(transport);
    await before?.(left.near, left.far);
    const relay = relayOf(transport)(left.far, right.near, options);
    return {
      client: left.near,
      target: right.far,
      relay,
      async close() {
        await left.close();
        await right.close();
        await relay.done;
      },
    };
  };

  check(
    `${what} moves bytes both ways at once and counts them`,
    async (transport) => {
      const { client, target, relay, close } = await start(transport);
      const up = pattern(12 * MIB, 1);
      const down = pattern(9 * MIB, 2);
      const [, , gotUp, gotDown] = await Promise.all([
        client.write(up).then(() => client.closeWrite()),
        target.write(down).then(() => target.closeWrite()),
        readAll(target),
        readAll(client),
      ]);
      assertSameOctets(gotUp, up);
      assertSameOctets(gotDown, down);
      assertEquals((await relay.done).reason, "finished");
      assertEquals(relay.sent, up.length);
      assertEquals(relay.received, down.length);
      await close();
    },
  );

  check(`${what} forwards small messages one by one`, async (transport) => {
    const { client, target, close } = await start(transport);
    for (let i = 0; i < 200; i++) {
      const message = pattern(1 + i * 37, i);
      await client.write(message);
      assertSameOctets(await readExactly(target, message.length), message);
      await target.write(message);
      assertSameOctets(await readExactly(client, message.length), message);
    }
    await close();
  });

  check(
    `${what} forwards messages after a busy and then a quiet time`,
    (transport) =>
      withClock(async (clock) => {
        const { client, target, close } = await start(transport, { clock });
        const bulk = pattern(4 * MIB);
        for (const [from, to] of [[client, target], [target, client]]) {
          const [got] = await Promise.all([
            readExactly(to, bulk.length),
            from.write(bulk),
          ]);
          assertSameOctets(got, bulk);
        }
        clock.skip(60_000);
        for (let i = 1; i <= 3; i++) {
          for (const [from, to] of [[client, target], [target, client]]) {
            const message = pattern(i * 100, i);
            await from.write(message);
            assertSameOctets(await readExactly(to, message.length), message);
          }
        }
        await close();
      }),
  );

  check(
    `${what} forwards a FIN and 10 MiB in the other direction after it`,
    async (transport) => {
      for (const first of ["client", "target"] as const) {
        const relayed = await start(transport);
        const { relay, close } = relayed;
        const early = relayed[first];
        const late = first === "client" ? relayed.target : relayed.client;
        await early.write(pattern(5));
        await early.closeWrite();
        assertEquals(await readAll(late), pattern(5));
        const answer = pattern(10 * MIB, 3);
        const [, got] = await Promise.all([
          late.write(answer).then(() => late.closeWrite()),
          readAll(early),
        ]);
        assertSameOctets(got, answer);
        assertEquals((await relay.done).reason, "finished");
        await close();
      }
    },
  );

  check(
    `${what} forwards bytes and a FIN that arrived before it`,
    async (transport) => {
      const { client, target, close } = await start(
        transport,
        {},
        async (client, accepted) => {
          await client.write(pattern(300));
          await client.closeWrite();
          accepted.unread(await readExactly(accepted, 100));
          await settled();
        },
      );
      assertEquals(await readAll(target), pattern(300));
      await target.write(pattern(7));
      await target.closeWrite();
      assertEquals(await readAll(client), pattern(7));
      await close();
    },
  );

  check(
    `${what} slows down a sender whose receiver does not read`,
    async (transport) => {
      const { client, target, relay, close } = await start(transport);
      const sent = pattern(64 * MIB);
      const writing = client.write(sent).then(() => client.closeWrite());
      let before = -1;
      while (relay.sent !== before) {
        before = relay.sent;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert(relay.sent < 32 * MIB, `read ${relay.sent} bytes ahead`);
      const got = await readAll(target);
      await writing;
      assertSameOctets(got, sent);
      await close();
    },
  );

  check(
    `${what} delivers buffered bytes to a slow receiver when both sides have sent FIN`,
    async (transport) => {
      const first = await start(transport);
      await fill(first, 64 * MIB);
      const capacity = first.relay.sent;
      await first.close();
      for (const less of [4, 12]) {
        const relayed = await start(transport);
        const sent = await fill(relayed, capacity - less * 1024);
        await relayed.client.closeWrite();
        await new Promise((resolve) => setTimeout(resolve, 30));
        assertEquals((await readAll(relayed.target)).length, sent);
        assertEquals((await relayed.relay.done).reason, "finished");
        await relayed.close();
      }
    },
  );

  /**
   * Makes small writes to a target that has sent FIN and does not read, until the relay
   * reads no more or `limit` bytes are sent. Returns how many were sent.
   */
  async function fill(
    { client, target, relay }: Relayed,
    limit: number,
  ): Promise<number> {
    await target.closeWrite();
    assertEquals(await client.read(), null);
    const chunk = pattern(8192);
    let total = 0;
    while (total < limit) {
      const next = chunk.slice(0, Math.min(chunk.length, limit - total));
      await client.write(next);
      total += next.length;
      for (let i = 0; relay.sent < total; i++) {
        if (i === 100) return total;
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }
    return total;
  }

  const seen = contract.noReset ? "the end" : "a reset";
  check(
    `${what} turns a reset of one side into ${seen} for the other one`,
    async (transport) => {
      if (contract.noReset) return await endsTheOther(transport);
      for (const first of ["client", "target"] as const) {
        const relayed = await start(transport);
        const other = first === "client" ? relayed.target : relayed.client;
        await relayed[first].write(pattern(5));
        await readExactly(other, 5);
        relayed[first].reset();
        await assertKind(other.read(), "reset");
        const end = await relayed.relay.done;
        assertEquals(end.reason, "error");
        assertEquals(end.side, first === "client" ? "a" : "b");
        assertEquals(end.error?.kind, "reset");
        await relayed.close();
      }
    },
  );

  /** Without a way to send RST the FIN is forwarded, and further writes meet a closed socket. */
  async function endsTheOther(transport: Transport): Promise<void> {
    const { client, target, relay, close } = await start(transport);
    client.reset();
    assertEquals(await target.read(), null);
    await assertKind(
      (async () => {
        while (true) {
          await target.write(pattern(1000));
          await settled();
        }
      })(),
      "reset",
    );
    const end = await relay.done;
    assertEquals([end.reason, end.side, end.error?.kind], [
      "error",
      "a",
      "reset",
    ]);
    await close();
  }

  check(
    `${what} closes both sides when bytes arrive for a closed side`,
    async (transport) => {
      for (const first of ["client", "target"] as const) {
        const relayed = await start(transport);
        const early = relayed[first];
        const late = first === "client" ? relayed.target : relayed.client;
        await late.write(pattern(5));
        await readExactly(early, 5);
        early.close(); // sends FIN, and RST for everything that arrives later
        const writing = (async () => {
          await late.write(pattern(MIB));
          for (;;) {
            await late.write(pattern(1000));
            await settled();
          }
        })();
        await assertKind(writing, "reset");
        await relayed.relay.done;
        await relayed.close();
      }
    },
  );

  check(
    `${what} ends after the idle time, not before`,
    async (transport) => {
      const { client, target, relay, close } = await start(transport, {
        idle: 600,
      });
      const started = performance.now();
      for (let i = 0; i < 6; i++) {
        await new Promise((resolve) => setTimeout(resolve, 150));
        await client.write(pattern(1));
        await readExactly(target, 1);
      }
      assertEquals((await relay.done).reason, "idle");
      assert(performance.now() - started > 1_300);
      await client.read().catch(() => null);
      await close();
    },
  );

  check(
    `${what} resets a receiver that lacks bytes when it is idle`,
    async (transport) => {
      for (const slow of ["client", "target"] as const) {
        const relayed = await start(transport, { idle: 200 });
        const receiver = relayed[slow];
        const sender = slow === "client" ? relayed.target : relayed.client;
        const sending = sender.write(pattern(32 * MIB)).catch(() => {});
        assertEquals((await relayed.relay.done).reason, "idle");
        const end = await readAll(receiver).then(
          () => null,
          ({ kind }) => kind,
        );
        if (!contract.noReset) assertEquals(end, "reset");
        await relayed.close();
        await sending;
      }
    },
  );

  check(
    `${what} ends after the half-closed time when one side has sent FIN`,
    async (transport) => {
      const { client, target, relay, close } = await start(transport, {
        idle: 60_000,
        halfClosed: 40,
      });
      await client.closeWrite();
      assertEquals(await target.read(), null);
      assertEquals((await relay.done).reason, "idle");
      await close();
    },
  );

  check(`${what} resets both sides when it is aborted`, async (transport) => {
    const { client, target, relay, close } = await start(transport);
    await client.write(pattern(3));
    await readExactly(target, 3);
    relay.abort();
    relay.abort();
    assertEquals((await relay.done).reason, "aborted");
    const ended = (conn: Conn) => conn.read().catch((error) => error.kind);
    const { noReset } = contract;
    const expected = (side: "client" | "target") =>
      noReset === true || noReset === side ? null : "reset";
    assertEquals(await ended(client), expected("client"));
    assertEquals(await ended(target), expected("target"));
    await close();
  });
}
