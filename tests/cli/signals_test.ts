import { assertEquals } from "@std/assert";
import type { Host } from "../../src/cli/host/host.ts";
import { Signals } from "../../src/cli/serve/signals.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { test } from "../support/harness.ts";

type Name = Parameters<Host["onSignal"]>[0];

/** The signals of a program, which arrive when their listeners are called. */
function watch() {
  const listeners = new Map<Name, () => void>();
  const seconds: Name[] = [];
  const clock = new FakeClock();
  const signals = new Signals(
    {
      onSignal(signal, listener) {
        listeners.set(signal, listener);
        return () => void listeners.delete(signal);
      },
    },
    (signal) => seconds.push(signal),
    clock,
  );
  return { signals, listeners, seconds, clock };
}

/** A row: a name, signals with their times in milliseconds, the reported second signal. */
const rows: readonly (readonly [string, [Name, number][], Name[]])[] = [
  ["one signal", [["SIGINT", 0]], []],
  ["a second signal", [["SIGINT", 0], ["SIGINT", 100]], ["SIGINT"]],
  ["another signal at the same time", [["SIGINT", 0], ["SIGTERM", 0]], [
    "SIGTERM",
  ]],
  ["an echo of the first signal", [["SIGTERM", 5], ["SIGTERM", 104]], []],
  [
    "a second signal after the echo",
    [["SIGINT", 0], ["SIGINT", 1], ["SIGINT", 150]],
    ["SIGINT"],
  ],
  [
    "only the second of many",
    [["SIGINT", 0], ["SIGINT", 150], ["SIGTERM", 151], ["SIGINT", 900]],
    ["SIGINT"],
  ],
];

for (const [name, sent, expected] of rows) {
  test(`Signals reports ${name}`, async () => {
    const { signals, listeners, seconds, clock } = watch();
    const start = clock.now();
    for (const [signal, at] of sent) {
      clock.advance(start + at - clock.now());
      listeners.get(signal)!();
    }
    assertEquals(await signals.first, sent[0][0]);
    assertEquals(seconds, expected);
    signals.stop();
    assertEquals(listeners.size, 0);
  });
}

test("Signals.begin() is no signal: the next one is the first, and the one after it the second", async () => {
  const { signals, listeners, seconds, clock } = watch();
  signals.begin("admin");
  signals.begin("admin");
  assertEquals(await signals.first, "admin");
  clock.advance(1_000);
  listeners.get("SIGTERM")!();
  assertEquals(seconds, []);
  clock.advance(1_000);
  listeners.get("SIGTERM")!();
  assertEquals(seconds, ["SIGTERM"]);
});

test("Signals.begin() after a signal changes nothing", async () => {
  const { signals, listeners, seconds } = watch();
  listeners.get("SIGINT")!();
  signals.begin("admin");
  assertEquals(await signals.first, "SIGINT");
  assertEquals(seconds, []);
});
