/** The state of a relay, and relays between connections without a network. */

import { assertEquals } from "@std/assert";
import { NetError } from "../../src/transport/errors.ts";
import { relayByReading, RelayState } from "../../src/transport/relay.ts";
import type { Conn, Relay } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { scriptedConn } from "../support/scripted_conn.ts";
import { withClock } from "../support/skipping_clock.ts";

/** A side with unsent bytes, which records how it is closed. */
class Side {
  unsent = 0;
  readonly ends: string[] = [];
  close = () => void this.ends.push("close");
  reset = () => void this.ends.push("reset");
}

test("RelayState is not idle while a slow receiver takes buffered bytes", () =>
  withClock(async (clock) => {
    const [a, b] = [new Side(), new Side()];
    const relay = new RelayState(a, b, { idle: 10_000, clock });
    a.unsent = 50_000;
    for (; a.unsent > 10_000; a.unsent -= 10_000) clock.skip(8_000);
    assertEquals(relay.ended, false);
    clock.skip(20_000);
    assertEquals((await relay.done).reason, "idle");
    assertEquals([a.ends, b.ends], [["reset", "close"], ["close"]]);
  }));

test("RelayState closes both sides without a reset when nothing is unsent at the idle time", () =>
  withClock(async (clock) => {
    const [a, b] = [new Side(), new Side()];
    const relay = new RelayState(a, b, { idle: 10_000, clock });
    clock.skip(20_000);
    assertEquals((await relay.done).reason, "idle");
    assertEquals([a.ends, b.ends], [["close"], ["close"]]);
  }));

/** Methods of a connection that break the promise never to throw. */
const breaking: [string, () => void][] = [
  ["throws", () => {
    throw new Error("cannot be closed");
  }],
  ["rejects", () => Promise.reject(new Error("cannot be closed"))],
];

for (const [how, broken] of breaking) {
  test(
    `relayByReading() closes the other side when close() or reset() of one ${how}`,
    async () => {
      const waiting = { read: () => new Promise<never>(() => {}) };
      const failing = { read: () => Promise.reject(new NetError("reset")) };
      const ends: [string, Partial<Conn>, (relay: Relay) => void][] = [
        ["finished", {}, () => {}],
        ["error", failing, () => {}],
        ["aborted", waiting, (relay) => relay.abort()],
      ];
      for (const [reason, reading, act] of ends) {
        for (const isFirst of [true, false]) {
          const sides = [scriptedConn(), scriptedConn()];
          const bad = { ...sides[0], ...reading, close: broken, reset: broken };
          const good = Object.assign(sides[1], reason === "aborted" && waiting);
          const relay = isFirst
            ? relayByReading(bad, good)
            : relayByReading(good, bad);
          act(relay);
          assertEquals((await relay.done).reason, reason);
          assertEquals(good.closed, true);
        }
      }
    },
    { timeout: 5_000 },
  );

  test(
    `RelayState ends both sides at the idle time when close() of one ${how}`,
    () =>
      withClock(async (clock) => {
        const [a, b] = [new Side(), new Side()];
        Object.assign(a, { unsent: 1, close: broken, reset: broken });
        const relay = new RelayState(a, b, { idle: 10_000, clock });
        clock.skip(20_000);
        assertEquals((await relay.done).reason, "idle");
        assertEquals(b.ends, ["close"]);
      }),
    { timeout: 5_000 },
  );
}
