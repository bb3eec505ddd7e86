import { assertEquals } from "@std/assert";
import { AbortSwitch } from "../../src/transport/signal.ts";
import { test } from "../support/harness.ts";

test("AbortSwitch calls each listener once, and none that was removed", () => {
  const stop = new AbortSwitch();
  const called: string[] = [];
  const listeners: (() => void)[] = [];
  const listen = (name: string) => {
    const listener = () => void called.push(name);
    const add = () => stop.addEventListener("abort", listener);
    add();
    add();
    listeners.push(add);
    return () => stop.removeEventListener("abort", listener);
  };
  const remove = [listen("first"), listen("second"), listen("third")];
  remove[0]();
  listen("fourth");
  remove[2]();
  listeners[1](); // adds a listener a second time
  stop.abort(new Error("why"));
  stop.abort(new Error("again"));
  assertEquals(called.sort(), ["fourth", "second"]);
  assertEquals([stop.aborted, `${stop.reason}`], [true, "Error: why"]);
});
