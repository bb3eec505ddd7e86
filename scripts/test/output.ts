/**
 * Reads the output of the runtimes' test runners.
 *
 * @module
 */

/** The kinds of test runners. */
export type Kind = "deno" | "bun" | "node";

/** How many tests ended in which way. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The ways in which a test can end. */
export const outcomes = ["passed", "failed", "skipped"] as const;

/** Patterns of the summary at the end of the output. */
const summaries: Record<Kind, Record<keyof Counts, RegExp>> = {
  deno: {
    passed: /^(?:ok|FAILED) \|.*?(\d+) passed/gm,
    failed: /^(?:ok|FAILED) \|.*?(\d+) failed/gm,
    skipped: /^(?:ok|FAILED) \|.*?(\d+) ignored/gm,
  },
  bun: {
    passed: /^ *(\d+) pass$/gm,
    failed: /^ *(\d+) fail$/gm,
    skipped: /^ *(\d+) skip$/gm,
  },
  node: {
    passed: /^ℹ pass (\d+)$/gm,
    failed: /^ℹ (?:fail|cancelled) (\d+)$/gm,
    skipped: /^ℹ skipped (\d+)$/gm,
  },
};

/** Returns the counts of the summary. `tests` are the files that ran. */
export function readSummary(
  kind: Kind,
  text: string,
  tests: readonly string[],
): Counts {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const key of outcomes) {
    const matches = [...text.matchAll(summaries[kind][key])].map((it) =>
      Number(it[1])
    );
    // Node prints two numbers for failed tests: `fail` and `cancelled`.
    const last = matches.slice(kind === "node" && key === "failed" ? -2 : -1);
    counts[key] = last.reduce((a, b) => a + b, 0);
  }
  if (kind === "node") {
    // Node counts a file without tests as a test of its own.
    const empty = tests.filter((it) =>
      text.includes(`\n✔ ${it} (`) || text.startsWith(`✔ ${it} (`)
    );
    counts.passed -= empty.length;
  }
  return counts;
}

/** Patterns of the line of a test that has ended. */
const endings: Record<Kind, Record<keyof Counts, RegExp>> = {
  deno: {
    passed: / \.\.\. ok \(|^-+ output end -+ok \(/,
    failed: / \.\.\. FAILED \(/,
    skipped: / \.\.\. ignored \(/,
  },
  bun: {
    passed: /^\(pass\) /,
    failed: /^\(fail\) /,
    skipped: /^\(skip\) /,
  },
  node: {
    passed: /^ *✔ /,
    failed: /^ *✖ .* \(\d/,
    skipped: /^ *﹣ /,
  },
};

/** Adds the tests that have ended according to lines of the output. */
export function countEndings(kind: Kind, lines: string, counts: Counts): void {
  for (const line of lines.split("\n")) {
    const key = outcomes.find((it) => endings[kind][it].test(line));
    if (key) counts[key]++;
  }
}

/** A test that was skipped. */
export interface Skip {
  name: string;
  reason: string;
}

/**
 * Matches the name of a skipped test and the reason, in the format of
 * tests/support/harness.ts, in the output of any runtime.
 */
const skipLine = /^(?:\(skip\) |\W )?(.+?) \[skip: (.*)\].*$/gm;

/** Returns the skipped tests that give a reason. */
export function readSkips(text: string): Skip[] {
  const found = new Map<string, Skip>();
  for (const [, name, reason] of text.matchAll(skipLine)) {
    found.set(`${name} [${reason}]`, { name, reason });
  }
  return [...found.values()];
}
