import { assertEquals } from "@std/assert";
import { AbortSwitch } from "../../src/transport/signal.ts";
import { test } from "../support/harness.ts";

test("an AbortSwitch tells all who listen, once, and nobody who left", () => {
  const stop = new AbortSwitch();
  const told: string[] = [];
  const listeners: (() => void)[] = [];
  const listen = (name: string) => {
    const listener = () => void told.push(name);
    const add = () => stop.addEventListener("abort", listener);
    add();
    add();
    listeners.push(add);
    return () => stop.removeEventListener("abort", listener);
  };
  const leave = [listen("first"), listen("second"), listen("third")];
  leave[0]();
  listen("fourth");
  leave[2]();
  listeners[1](); // again, from another place
  stop.abort(new Error("why"));
  stop.abort(new Error("again"));
  assertEquals(told.sort(), ["fourth", "second"]);
  assertEquals([stop.aborted, `${stop.reason}`], [true, "Error: why"]);
});
