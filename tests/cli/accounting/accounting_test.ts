/** Records and saves at the interval. */

import { assertEquals, assertRejects } from "@std/assert";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Accounting } from "../../../src/cli/accounting/accounting.ts";
import { readState } from "../../../src/cli/accounting/state_file.ts";
import { formatJson } from "../../../src/cli/output/json_line.ts";
import type { LogRecord } from "../../../src/cli/output/record.ts";
import { formatText } from "../../../src/cli/output/text_line.ts";
import { UsageError } from "../../../src/cli/usage_error.ts";
import { LocalUsageStore } from "../../../src/server/mod.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";
import { until } from "../../transport/contract.ts";

const alice = { user: "alice", sent: 1, received: 2, sessions: 1 };

/** Calls `use` with accounting in a new file. */
async function withAccounting(
  use: (
    accounting: Accounting,
    parts: {
      clock: FakeClock;
      records: LogRecord[];
      path: string;
      reported: { count: number };
    },
  ) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "acct-"));
  const path = join(folder, "usage.json");
  const clock = new FakeClock();
  const records: LogRecord[] = [];
  const accounting = await Accounting.open({
    interval: 60_000,
    file: path,
    log: (it) => records.push(it),
    clock,
  });
  const reported = { count: 0 };
  accounting.start({
    reportUsage() {
      reported.count++;
      return Promise.resolve();
    },
  });
  try {
    await use(accounting, { clock, records, path, reported });
  } finally {
    await accounting.close();
    await rm(folder, { recursive: true });
  }
}

test("Accounting logs at the interval what each user has transferred since the last time", () =>
  withAccounting(async (accounting, { clock, records, reported }) => {
    accounting.add([alice, { ...alice, user: "bob", sessions: 0 }]);
    accounting.add([alice, {
      user: "carol",
      sent: 0,
      received: 0,
      sessions: 0,
    }]);
    await clock.run(59_000, 1_000);
    assertEquals(records, []);
    await clock.run(1_000, 1_000);
    await until(() => records.length === 2);
    assertEquals(reported.count, 1);
    assertEquals(records, [
      { type: "usage", user: "alice", sent: 2, received: 4, sessions: 2 },
      { type: "usage", user: "bob", sent: 1, received: 2, sessions: 0 },
    ]);
    await until(() => clock.timers === 1); // the file is written
    await clock.run(60_000, 1_000);
    await until(() => reported.count === 2);
    accounting.add([alice]);
    await accounting.close();
    assertEquals(records.slice(2), [{ type: "usage", ...alice }]);
  }));

test("Accounting writes its file at the interval and at the end", () =>
  withAccounting(async (accounting, { clock, path }) => {
    const saved = async () =>
      (await readState(path)).map((it) => it.total.sent);
    accounting.add([alice]);
    assertEquals(await saved(), []);
    await clock.run(60_000, 60_000);
    await until(() => clock.timers === 1);
    assertEquals(await saved(), [1]);
    accounting.add([alice]);
    await accounting.close();
    assertEquals(await saved(), [2]);
  }));

test("Accounting logs once that its file cannot be written, and tries again", () =>
  withAccounting(async (accounting, { clock, records, path }) => {
    await rm(`${path}.lock`);
    const failures = () =>
      records.filter(({ type }) => type === "accounting-failed").length;
    accounting.add([alice]);
    for (let i = 0; i < 3; i++) {
      await clock.run(60_000, 60_000);
      await until(() => clock.timers === 1);
    }
    assertEquals(failures(), 1);
    await writeFile(path, "mine now");
  }));

test("Accounting counts in a store of several machines, and logs only what that has taken", async () => {
  const clock = new FakeClock();
  const records: LogRecord[] = [];
  const shared = new LocalUsageStore();
  let fails = false;
  const accounting = await Accounting.open({
    interval: 60_000,
    log: (it) => records.push(it),
    clock,
    store: {
      async add(reports) {
        await undefined;
        if (fails) throw new Error("away");
        return shared.add(reports);
      },
    },
  });
  shared.add([{ ...alice, sent: 100 }]); // by another machine
  await accounting.add([alice]);
  fails = true;
  await assertRejects(async () => await accounting.add([alice]), Error, "away");
  assertEquals(accounting.totals.map((it) => it.total.sent), [101]);
  await accounting.close();
  assertEquals(records, [{ type: "usage", ...alice }]);
});

test("Accounting.open() refuses a file and a store of several machines together", () =>
  assertRejects(
    () =>
      Accounting.open({
        interval: 60_000,
        file: "usage.json",
        store: new LocalUsageStore(),
        log: () => {},
      }),
    UsageError,
    "leave out the accounting file",
  ).then(() => {}));

const now = new Date("2026-11-29T12:00:00.123Z");

test("A usage record has a line as JSON and as text, without control characters", () => {
  const record = { type: "usage", ...alice, user: "a\x1b[2K b" } as const;
  assertEquals(
    formatJson(record, now, undefined),
    '{"time":"2026-11-29T12:00:00.123Z","type":"usage","user":"a\\u001b[2K b",' +
      '"sent":1,"received":2,"sessions":1}',
  );
  const line = formatText(record, now, {})!;
  assertEquals(line.includes("\x1b"), false);
  assertEquals(line.endsWith(" 1/2 1 session"), true);
  assertEquals(
    formatText({ type: "usage", ...alice }, now, {}),
    "2026-11-29T12:00:00Z usage alice 1/2 1 session",
  );
});

test("A failed save has a line as JSON and as text", () => {
  const record = { type: "accounting-failed", error: "no space" } as const;
  assertEquals(
    formatJson(record, now, undefined),
    '{"time":"2026-11-29T12:00:00.123Z","type":"accounting-failed","error":"no space"}',
  );
  assertEquals(
    formatText(record, now, {}),
    "2026-11-29T12:00:00Z the accounting file is not written: no space",
  );
});
