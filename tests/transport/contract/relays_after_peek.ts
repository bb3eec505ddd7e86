/**
 * The contract of relays that start while a peek is waiting.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Conn, Transport } from "../../../src/transport/transport.ts";
import {
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  settled,
} from "../../support/conns.ts";
import { type Check, MIB, type RelayFunction } from "./check.ts";

/** The tests of relays that start while {@linkcode Conn.peek} is waiting. */
export function relaysAfterPeek(
  check: Check,
  what: string,
  relayOf: (transport: Transport) => RelayFunction,
  wrap: (conn: Conn) => Conn = (conn) => conn,
): void {
  /** Starts a relay after a peek at both sides. */
  async function start(
    transport: Transport,
    before: (client: Conn, target: Conn) => Promise<void>,
  ) {
    const left = await connectedPair(transport);
    const right = await connectedPair(transport);
    const [a, b] = [wrap(left.far), wrap(right.near)];
    const peeks = [a.peek(), b.peek()].map((it) => it.catch(() => undefined));
    await before(left.near, right.far);
    const relay = relayOf(transport)(a, b);
    return {
      client: left.near,
      target: right.far,
      relay,
      async close() {
        await left.close();
        await right.close();
        await relay.done;
        await Promise.all(peeks);
      },
    };
  }

  const cases: [string, (client: Conn, target: Conn) => Promise<void>][] = [
    ["is waiting", async () => {}],
    ["has not reported bytes", async (client, target) => {
      await client.write(pattern(1000, 1));
      await target.write(pattern(1000, 2));
    }],
    ["has reported bytes", async (client, target) => {
      await client.write(pattern(1000, 1));
      await target.write(pattern(1000, 2));
      await settled();
    }],
  ];
  for (const [state, before] of cases) {
    const sentBefore = state === "is waiting" ? 0 : 1000;
    check(
      `${what} loses nothing when peek() ${state} at its start`,
      async (transport) => {
        const { client, target, relay, close } = await start(transport, before);
        const [up, down] = [pattern(MIB, 1), pattern(MIB, 2)];
        const [, , gotUp, gotDown] = await Promise.all([
          client.write(up.subarray(sentBefore)).then(() => client.closeWrite()),
          target.write(down.subarray(sentBefore))
            .then(() => target.closeWrite()),
          readAll(target),
          readAll(client),
        ]);
        assertSameOctets(gotUp, up);
        assertSameOctets(gotDown, down);
        assertEquals((await relay.done).reason, "finished");
        assertEquals([relay.sent, relay.received], [MIB, MIB]);
        await close();
      },
    );
  }

  check(
    `${what} forwards the FIN that peek() has reported, and bytes before it`,
    async (transport) => {
      const { client, target, relay, close } = await start(
        transport,
        async (client, target) => {
          await client.closeWrite();
          await target.write(pattern(3));
          await target.closeWrite();
          await settled();
        },
      );
      assertEquals(await readAll(target), pattern(0));
      assertEquals(await readAll(client), pattern(3));
      assertEquals((await relay.done).reason, "finished");
      await close();
    },
  );

  check(
    `${what} ends a waiting peek() when it is aborted`,
    async (transport) => {
      const { relay, close } = await start(transport, async () => {});
      relay.abort();
      assertEquals((await relay.done).reason, "aborted");
      await close();
    },
  );
}
