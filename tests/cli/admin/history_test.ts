import { assert, assertEquals } from "@std/assert";
import { CounterReader } from "../../../src/cli/admin/counters.ts";
import { History } from "../../../src/cli/admin/history.ts";
import type { Counters } from "../../../src/cli/serve/control/control.ts";
import { NO_TOTALS } from "../../../src/server/metrics.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";

const NONE: Counters = { workers: 1, ...NO_TOTALS };

/** A history of counters that the test changes. */
function open() {
  const clock = new FakeClock();
  const source = { reads: 0, counters: NONE, fails: false };
  const history = new History({
    now() {
      source.reads++;
      const { counters, fails } = source;
      return fails ? Promise.reject(new Error("x")) : Promise.resolve(counters);
    },
  }, clock);
  const pass = (seconds: number) => clock.run(seconds * 1_000, 1_000);
  const samples = () => history.read().samples.map(([, ...rest]) => rest);
  return { clock, source, history, pass, samples };
}

test("History samples each second while somebody asks", async () => {
  const { source, history, pass, samples, clock } = open();
  assertEquals([source.reads, clock.timers], [0, 0]); // nobody has asked yet
  assertEquals(samples(), []);
  await pass(1);
  assertEquals(samples(), []); // there is no difference yet
  source.counters = { ...NONE, sessions: 2, sent: 10, received: 300 };
  await pass(1);
  source.counters = { ...NONE, sessions: 1, sent: 15, received: 300 };
  await pass(2);
  assertEquals(samples(), [[2, 10, 300], [1, 5, 0], [1, 0, 0]]);
  const [[time]] = history.read().samples;
  assert(Math.abs(time - Date.now()) < 10_000);
  history.close();
  assertEquals(clock.timers, 0);
  assertEquals(samples().length, 3);
  assertEquals(clock.timers, 0); // closed for good
});

test("History returns only the samples after a time", async () => {
  const { history, pass, samples } = open();
  samples();
  await pass(4);
  const { samples: all } = history.read();
  assertEquals(all.length, 3);
  const [[time]] = all;
  const later = all.filter((it) => it[0] > time); // the clock of the system may stand still
  assertEquals(history.read(time).samples, later);
  assertEquals(history.read(time - 1).samples, all);
  assertEquals(history.read(Infinity).samples, []);
  history.close();
});

test("History stops sampling 30 s after the last request, and leaves out the pause", async () => {
  const { source, pass, samples, clock } = open();
  samples();
  await pass(30);
  assertEquals(source.reads, 30);
  await pass(30);
  assertEquals([source.reads, clock.timers], [30, 0]);
  source.counters = { ...NONE, sent: 1_000_000 };
  const before = samples().length;
  await pass(1);
  assertEquals(samples().length, before);
  await pass(1);
  assertEquals(samples().slice(before), [[0, 0, 0]]);
});

test("History has at most 600 samples, those of the last ten minutes", async () => {
  const { pass, samples, history } = open();
  for (let i = 0; i < 70; i++) {
    samples();
    await pass(10);
  }
  assertEquals(samples().length, 600);
  history.close();
});

test("History goes on after an error, and counts no loss as traffic", async () => {
  const { source, pass, samples, history } = open();
  source.counters = { ...NONE, sent: 100, received: 50 };
  samples();
  await pass(1);
  source.fails = true;
  await pass(1);
  source.fails = false;
  await pass(1);
  assertEquals(samples(), []);
  source.counters = { ...NONE, sent: 90, received: 51 }; // a worker failed
  await pass(1);
  assertEquals(samples(), [[0, 0, 1]]);
  history.close();
});

test("CounterReader reads once for all who ask within 1.2 s", async () => {
  const clock = new FakeClock();
  let reads = 0;
  const reader = new CounterReader(
    () => Promise.resolve({ ...NONE, started: ++reads }),
    clock,
  );
  const both = await Promise.all([reader.recent(), reader.now()]);
  assertEquals(both.map(({ started }) => started), [1, 1]);
  clock.advance(1_199);
  assertEquals((await reader.recent()).started, 1);
  clock.advance(1);
  assertEquals((await reader.recent()).started, 2);
  assertEquals((await reader.now()).started, 3);
});
