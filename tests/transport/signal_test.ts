import { assertEquals } from "@std/assert";
import { AbortSwitch, onAbort } from "../../src/transport/signal.ts";
import { test } from "../support/harness.ts";
import { countListeners } from "../support/scripted.ts";

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

test("onAbort() calls all listeners that were not removed, and adds only one to the signal", () => {
  const controller = new AbortController();
  const { signal } = controller;
  const count = countListeners(signal);
  const called: string[] = [];
  const offs = ["first", "second", "third"].map((name) =>
    onAbort(signal, () => called.push(name))
  );
  assertEquals(count(), 1);
  offs[1]();
  offs[1]();
  assertEquals(count(), 1);
  controller.abort();
  assertEquals(called, ["first", "third"]);
  offs[0]();
  offs[2]();
  assertEquals(count(), 0);
});

test("onAbort() listens again after all listeners were removed", () => {
  const controller = new AbortController();
  let calls = 0;
  const listener = () => calls++;
  onAbort(controller.signal, listener)();
  onAbort(controller.signal, listener);
  controller.abort();
  assertEquals(calls, 1);
});
