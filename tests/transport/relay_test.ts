/** The state of a relay, without connections. */

import { assertEquals } from "@std/assert";
import { RelayState } from "../../src/transport/relay.ts";
import { test } from "../support/harness.ts";
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
