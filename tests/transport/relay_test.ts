/** The state of a relay, and relays between connections without a network. */

import { assertEquals } from "@std/assert";
import { NetError } from "../../src/transport/errors.ts";
import { relayByReading } from "../../src/transport/relay.ts";
import { RelayState } from "../../src/transport/relay_state.ts";
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
  /** How often keepalive was enabled. */
  kept = 0;
  keepAlive = () => void this.kept++;
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
    assertEquals(a.ends, ["reset", "close"]);
  }));

const IDLE: [
  name: string,
  finished: "a" | "b" | undefined,
  closesIdle: boolean,
  reset: boolean[],
][] = [
  ["resets both sides", undefined, false, [true, true]],
  ["resets a when only a has sent FIN", "a", false, [true, false]],
  ["resets b when only b has sent FIN", "b", false, [false, true]],
  ["only closes both sides when asked to", undefined, true, [false, false]],
];

for (const [name, finished, closesIdle, reset] of IDLE) {
  test(`RelayState ${name}, and nothing is unsent at the idle time`, () =>
    withClock(async (clock) => {
      const [a, b] = [new Side(), new Side()];
      const times = { idle: 10_000, halfClosed: 10_000 };
      const relay = new RelayState(a, b, { ...times, clock });
      relay.closesIdle = closesIdle;
      if (finished) relay.finish(finished);
      clock.skip(20_000);
      assertEquals((await relay.done).reason, "idle");
      const expected = reset.map((it) => it ? ["reset", "close"] : ["close"]);
      assertEquals([a.ends, b.ends], expected);
    }));
}

/** The idle and half-closed times, the time, whether keepalive is enabled by then. */
const KEPT: [
  name: string,
  times: { idle: number; halfClosed: number },
  finished: boolean,
  at: number,
  kept: number,
][] = [
  ["has no idle time", { idle: 0, halfClosed: 1_000 }, false, 60_000, 1],
  ["is young", { idle: 0, halfClosed: 1_000 }, false, 59_000, 0],
  ["has no half-closed time", { idle: 1_000, halfClosed: 0 }, true, 60_000, 1],
  ["is quiet", { idle: 300_000, halfClosed: 0 }, false, 80_000, 1],
  ["ends soon", { idle: 60_000, halfClosed: 0 }, false, 50_000, 0],
];

for (const [name, times, finished, at, kept] of KEPT) {
  test(`RelayState ${kept ? "enables" : "does not enable"} keepalive on both sides when it ${name}: ${JSON.stringify(times)}`, () =>
    withClock(async (clock) => {
      const [a, b] = [new Side(), new Side()];
      const relay = new RelayState(a, b, { ...times, clock });
      if (finished) relay.finish("a");
      clock.skip(at);
      assertEquals([a.kept, b.kept], [kept, kept]);
      if (kept) clock.skip(10 * at);
      assertEquals([a.kept, b.kept], [kept, kept]);
      if (!relay.ended) relay.abort();
      await relay.done;
    }));
}

test("RelayState does not enable keepalive while bytes move", () =>
  withClock(async (clock) => {
    const [a, b] = [new Side(), new Side()];
    const relay = new RelayState(a, b, { idle: 300_000, clock });
    for (let i = 0; i < 10; i++) {
      relay.count("a", 1);
      clock.skip(60_000);
    }
    assertEquals([a.kept, b.kept], [0, 0]);
    relay.abort();
    await relay.done;
  }));

/** Methods of a connection that throw or reject, contrary to the contract. */
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
        assertEquals(b.ends, ["reset", "close"]);
      }),
    { timeout: 5_000 },
  );
}
