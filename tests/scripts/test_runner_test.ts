/** The test runner: the output of the runtimes, progress and results. */

import { assert, assertEquals } from "@std/assert";
import {
  countEndings,
  readSkips,
  readSummary,
} from "../../scripts/test/output.ts";
import { Progress, progressLine } from "../../scripts/test/progress.ts";
import {
  complaints,
  formatCounts,
  type Result,
  skipLines,
  sums,
} from "../../scripts/test/results.ts";
import { test } from "../support/harness.ts";

/** One test that passes, one that fails, and one that is skipped. */
const outputs = {
  deno: `running 3 tests from ./tests/a_test.ts
add() adds ... ok (2ms)
add() throws ... FAILED (1ms)
add() waits [skip: no clock] ... ignored (0ms)

ok | 99 passed | 0 failed (1s)
FAILED | 1 passed | 1 failed | 1 ignored (3s)
`,
  bun: `tests/a_test.js:
(pass) add() adds [2.00ms]
(fail) add() throws [1.00ms]
(skip) add() waits [skip: no clock]

 1 pass
 1 skip
 1 fail
`,
  node: `✔ add() adds (2.1ms)
✖ add() throws (1.3ms)
﹣ add() waits [skip: no clock] (0.1ms) # SKIP
ℹ tests 3
ℹ pass 1
ℹ fail 1
ℹ cancelled 0
ℹ skipped 1

✖ failing tests:
`,
};

for (const kind of ["deno", "bun", "node"] as const) {
  const once = { passed: 1, failed: 1, skipped: 1 };

  test(`countEndings() counts the tests that end on ${kind}`, () => {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    countEndings(kind, outputs[kind], counts);
    assertEquals(counts, once);
  });

  test(`readSummary() returns the numbers of ${kind}`, () => {
    assertEquals(readSummary(kind, outputs[kind], []), once);
  });

  test(`readSkips() returns the name and the reason on ${kind}`, () => {
    const skip = { name: "add() waits", reason: "no clock" };
    assertEquals(readSkips(outputs[kind]), [skip]);
  });
}

test("readSummary() does not count a file without tests on Node", () => {
  const text = "✔ a_test.js (3ms)\n✔ add() adds (1ms)\nℹ pass 2\n";
  assertEquals(readSummary("node", text, ["a_test.js"]).passed, 1);
});

function result(
  name: Result["runtime"]["name"],
  reasons: string[],
  rest: Partial<Result> = {},
): Result {
  return {
    runtime: { name, version: "1.2.3" },
    passed: 5 - reasons.length,
    failed: 0,
    skipped: reasons.length,
    skips: reasons.map((reason, i) => ({ name: `test ${i}`, reason })),
    ok: true,
    ...rest,
  };
}

test("skipLines() returns a line for each reason, the most frequent first", () => {
  const results = [
    result("deno", ["no reset", "no clock", "no clock"]),
    result("bun", []),
    result("node20", ["no clock"]),
  ];
  assertEquals(skipLines(results), [
    "3 × no clock (deno, node20)",
    "1 × no reset (deno)",
  ]);
  assertEquals(skipLines([result("bun", [])]), []);
});

for (
  const [name, other, says] of [
    ["a runtime without tests", { passed: 0 }, ["bun: no test ran", /has 0/]],
    ["another number of tests", { passed: 4 }, ["bun has 4 tests, deno has 5"]],
    ["a skip without a reason", { passed: 4, skipped: 1 }, [/no reason/]],
    ["equal numbers", {}, []],
  ] as [string, Partial<Result>, (string | RegExp)[]][]
) {
  test(`complaints() of ${name} has ${says.length} lines`, () => {
    const wrong = complaints([result("deno", []), result("bun", [], other)]);
    assertEquals(wrong.length, says.length, wrong.join("\n"));
    for (const [i, part] of says.entries()) {
      assert(new RegExp(part).test(wrong[i]), wrong[i]);
    }
  });
}

test("formatCounts() leaves out what has not happened, except passed tests", () => {
  const none = { passed: 0, failed: 0, skipped: 0 };
  assertEquals(formatCounts(none), "0 passed");
  assertEquals(formatCounts({ ...none, skipped: 3 }), "0 passed, 3 skipped");
  assertEquals(sums([result("deno", ["x"])]), "4 passed, 0 failed, 1 skipped");
});

const counts = { passed: 7, failed: 1, skipped: 0 };

test("progressLine() has the seconds and the counts of each runtime", () => {
  const running = new Map([["deno", counts], ["bun", counts]]);
  assertEquals(
    progressLine(12.9, running),
    "12 s: deno 7 passed, 1 failed | bun 7 passed, 1 failed",
  );
});

for (
  const [kind, columns, shown] of [
    ["lines without a terminal", undefined, "0 s: deno 7 passed, 1 failed\n"],
    ["a line that it replaces on a terminal", 14, "\r\x1b[K0 s: deno 7 p"],
  ] as const
) {
  test(`Progress shows ${kind}`, () => {
    let text = "";
    const screen = { columns, write: (it: string) => text += it };
    const progress = new Progress(screen, 60_000);
    try {
      progress.show();
      assertEquals(text, "", "no runtime has begun");
      progress.begin("deno", counts);
      progress.show();
      assertEquals(text, shown);
      text = "";
      progress.print("bun is done");
      assert(text.endsWith("bun is done\n"), text);
      progress.end("deno");
      text = "";
      progress.show();
      assertEquals(text, "", "no runtime is left");
    } finally {
      progress.close();
    }
  });
}
