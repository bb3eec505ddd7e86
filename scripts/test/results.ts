/**
 * Checks and formats the results of the tests.
 *
 * @module
 */

import type { Runtime } from "../runtimes.ts";
import { type Counts, outcomes, type Skip } from "./output.ts";

/** The tests of one runtime. */
export interface Result extends Counts {
  runtime: Pick<Runtime, "name" | "version">;
  skips: Skip[];
  ok: boolean;
}

const total = (it: Counts) => it.passed + it.failed + it.skipped;

/** Returns the problems of the results besides failed tests. */
export function complaints(results: readonly Result[]): string[] {
  const wrong: string[] = [];
  for (const result of results) {
    const { name } = result.runtime;
    if (result.passed + result.failed === 0) wrong.push(`${name}: no test ran`);
    if (result.skipped > result.skips.length) {
      wrong.push(`${name}: a skipped test gives no reason`);
    }
    if (total(result) !== total(results[0])) {
      const first = results[0].runtime.name;
      wrong.push(
        `${name} has ${total(result)} tests, ${first} has ${total(results[0])}`,
      );
    }
  }
  return wrong;
}

/**
 * Returns a line for each reason why tests were skipped: how many times, and on which
 * runtimes. The most frequent reason comes first.
 */
export function skipLines(results: readonly Result[]): string[] {
  const reasons = new Map<string, { count: number; names: Set<string> }>();
  for (const { runtime, skips } of results) {
    for (const { reason } of skips) {
      const it = reasons.get(reason) ?? { count: 0, names: new Set() };
      it.count++;
      it.names.add(runtime.name);
      reasons.set(reason, it);
    }
  }
  const sorted = [...reasons].sort(([, a], [, b]) => b.count - a.count);
  const width = Math.max(...sorted.map(([, it]) => `${it.count}`.length));
  return sorted.map(([reason, { count, names }]) =>
    `${`${count}`.padStart(width)} × ${reason} (${[...names].join(", ")})`
  );
}

/** Formats counts: `812 passed, 1 failed, 12 skipped`, without zeros at the end. */
export function formatCounts(counts: Counts): string {
  return outcomes
    .filter((it) => it === "passed" || counts[it] > 0)
    .map((it) => `${counts[it]} ${it}`).join(", ");
}

/** Formats a row for each runtime. */
export function table(results: readonly Result[]): string {
  const rows = results.map(({ runtime, passed, failed, skipped }) => [
    runtime.name.replace(/\d+/, ""),
    runtime.version,
    ...[passed, failed, skipped].map(String),
  ]);
  rows.unshift(["runtime", "version", "passed", "failed", "skipped"]);
  const widths = rows[0].map((_, i) =>
    Math.max(...rows.map((row) => row[i].length))
  );
  const line = (row: string[]) =>
    row.map((cell, i) =>
      i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])
    ).join("  ");
  return rows.map(line).join("\n");
}

/** Formats the sums of all runtimes. */
export function sums(results: readonly Result[]): string {
  const sum = (key: keyof Counts) => results.reduce((n, it) => n + it[key], 0);
  return outcomes.map((it) => `${sum(it)} ${it}`).join(", ");
}
