/** A relay's books, without connections. */

import { assertEquals } from "@std/assert";
import { RelayState } from "../../src/transport/relay.ts";
import { test } from "../support/harness.ts";
import { withSkips } from "../support/skip_time.ts";

/** A side that somebody writes to, and what has become of it. */
class Side {
  unsent = 0;
  readonly ends: string[] = [];
  close = () => void this.ends.push("close");
  reset = () => void this.ends.push("reset");
}

test("a relay is not idle while a slow receiver takes what waits for it", () =>
  withSkips(async (skip) => {
    const [a, b] = [new Side(), new Side()];
    const relay = new RelayState(a, b, { idle: 10_000 });
    a.unsent = 50_000;
    for (; a.unsent > 10_000; a.unsent -= 10_000) skip(8_000);
    assertEquals(relay.ended, false);
    skip(20_000);
    assertEquals((await relay.done).reason, "idle");
    assertEquals([a.ends, b.ends], [["reset", "close"], ["close"]]);
  }));

test("a relay without anything left to send ends in peace when it is idle", () =>
  withSkips(async (skip) => {
    const [a, b] = [new Side(), new Side()];
    const relay = new RelayState(a, b, { idle: 10_000 });
    skip(20_000);
    assertEquals((await relay.done).reason, "idle");
    assertEquals([a.ends, b.ends], [["close"], ["close"]]);
  }));
