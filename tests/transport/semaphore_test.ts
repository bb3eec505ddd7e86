import { assertEquals, assertRejects } from "@std/assert";
import { Semaphore } from "../../src/transport/common/semaphore.ts";
import { NetError } from "../../src/transport/errors.ts";
import {
  type AbortSignalLike,
  AbortSwitch,
} from "../../src/transport/signal.ts";
import { test } from "../support/harness.ts";
import { settled } from "./contract.ts";

test("Semaphore.run() runs a few operations at a time, in order, and none that was aborted before", async () => {
  const semaphore = new Semaphore(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const stop = new AbortSwitch();
  const take = (number: number, signal: AbortSignalLike = new AbortSwitch()) =>
    semaphore.run(() => {
      begun.push(number);
      return new Promise<number>((resolve) => ends.push(() => resolve(number)));
    }, signal);
  const taken = [take(1), take(2), take(3, stop), take(4), take(5, stop)];
  await settled();
  assertEquals(begun, [1, 2]);
  stop.abort(new NetError("aborted"));
  for (const it of [taken[2], taken[4], take(6, stop)]) {
    await assertRejects(() => it, NetError);
  }
  ends[0]();
  await settled();
  assertEquals(begun, [1, 2, 4]);
  const last = take(7);
  await settled();
  assertEquals(begun, [1, 2, 4]);
  for (let i = 1; i < 3; i++) ends[i]();
  await settled();
  assertEquals(begun, [1, 2, 4, 7]);
  ends[3]();
  assertEquals(await Promise.all([taken[0], taken[1], taken[3], last]), [
    1,
    2,
    4,
    7,
  ]);
});
