import { assert, assertEquals } from "@std/assert";
import { createResolver } from "../../src/transport/common/lookup.ts";
import { NetError } from "../../src/transport/errors.ts";
import { AbortSwitch } from "../../src/transport/signal.ts";
import { test } from "../support/harness.ts";
import { assertKind } from "./contract.ts";

test("createResolver() asks for the number of threads once, on the first look-up", async () => {
  let asked = 0;
  const { lookup } = createResolver(() => ++asked);
  assertEquals(asked, 0);
  const [first, second] = await Promise.all([
    lookup("127.0.0.1"),
    lookup("::1"),
  ]);
  assertEquals([first, second, asked], [["127.0.0.1"], ["::1"], 1]);
});

test("createResolver() rejects with aborted when a look-up is aborted before its turn", async () => {
  const { lookup } = createResolver(() => 1);
  const stop = new AbortSwitch();
  const running = lookup("localhost");
  const waiting = lookup("127.0.0.1", stop);
  stop.abort(new NetError("aborted"));
  await assertKind(waiting, "aborted");
  assert((await running).length > 0);
  assertEquals(await lookup("127.0.0.1"), ["127.0.0.1"]);
});
