import { assertEquals } from "@std/assert";
import type { Host } from "../../src/cli/host/host.ts";
import { Signals } from "../../src/cli/serve/signals.ts";
import { test } from "../support/harness.ts";

type Name = Parameters<Host["onSignal"]>[0];

/** A row: what it is, signals and when they come, the exit codes of those that end the program at once. */
const rows: readonly (readonly [string, [Name, number][], number[]])[] = [
  ["one signal", [["SIGINT", 0]], []],
  ["a second one", [["SIGINT", 0], ["SIGINT", 100]], [130]],
  ["another one at once", [["SIGINT", 0], ["SIGTERM", 0]], [143]],
  ["the echo of the first", [["SIGTERM", 5], ["SIGTERM", 104]], []],
  [
    "a second one behind the echo",
    [["SIGINT", 0], ["SIGINT", 1], ["SIGINT", 150]],
    [130],
  ],
];

for (const [name, sent, expected] of rows) {
  test(`Signals tells of ${name}`, async () => {
    const listeners = new Map<Name, () => void>();
    let now = 0;
    const codes: number[] = [];
    const signals = new Signals(
      {
        onSignal(signal, listener) {
          listeners.set(signal, listener);
          return () => void listeners.delete(signal);
        },
      },
      (code) => codes.push(code),
      () => now,
    );
    for (const [signal, at] of sent) {
      now = at;
      listeners.get(signal)!();
    }
    assertEquals(await signals.first, sent[0][0]);
    assertEquals(codes, expected);
    signals.forget();
    assertEquals(listeners.size, 0);
  });
}
