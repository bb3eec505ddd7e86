/** The dashboard of Grafana: it shows metrics that exist. */

import { assert, assertEquals } from "@std/assert";
import { METRIC_FAMILIES } from "../../src/cli/admin/metrics_server.ts";
import { readDashboard } from "../support/dashboard.ts";
import { test } from "../support/harness.ts";

const { panels, queries, variables } = readDashboard();

/** The names of all series. */
const SERIES = new Set(
  METRIC_FAMILIES.flatMap(({ name, type }) =>
    type === "histogram"
      ? ["_bucket", "_sum", "_count"].map((it) => name + it)
      : [name]
  ),
);

const FUNCTIONS = [
  "sum",
  "count",
  "rate",
  "increase",
  "histogram_quantile",
  "label_values",
];

/** The names in a query that are neither labels nor their values. */
function namesIn(query: string): string[] {
  const bare = query
    .replace(/"[^"]*"/g, "")
    .replace(/\{[^{}]*\}/g, "")
    .replace(/\[[^[\]]*\]/g, "")
    .replace(/\b(by|or on) \([^()]*\)/g, "")
    .replace(/, (job|instance)\)$/, ")");
  return bare.match(/[a-z_]\w*/gi) ?? [];
}

function isBalanced(query: string): boolean {
  const open: string[] = [];
  for (const it of query.replace(/"[^"]*"/g, "")) {
    if ("({[".includes(it)) open.push(it);
    else if (")}]".includes(it) && open.pop() !== "({["[")}]".indexOf(it)]) {
      return false;
    }
  }
  return open.length === 0;
}

test("the dashboard asks only for metrics that the server has", () => {
  assert(queries.length > 20);
  const all = [...queries.map(({ expr }) => expr), ...variables];
  for (const query of all) {
    assert(isBalanced(query), query);
    const names = namesIn(query).filter((it) => !FUNCTIONS.includes(it));
    assert(names.length > 0, query);
    for (const name of names) assert(SERIES.has(name), `${name} in ${query}`);
  }
});

test("the dashboard rates counters only, and no other metric of them", () => {
  const counters = METRIC_FAMILIES.filter(({ type }) => type !== "gauge")
    .map(({ name }) => name);
  for (const { expr } of queries) {
    for (const name of namesIn(expr).filter((it) => SERIES.has(it))) {
      const isCounter = counters.some((it) => name.startsWith(it));
      const isRated = new RegExp(`(rate|increase)\\(${name}\\{`).test(expr);
      assertEquals(isRated, isCounter, expr);
    }
  }
});

test("the dashboard names only labels by which its queries group", () => {
  for (const { expr, legend } of queries) {
    const [, grouped = ""] = /\bby \(([^()]*)\)/.exec(expr) ?? [];
    for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g)) {
      assert(grouped.split(", ").includes(label), `${label} in ${expr}`);
    }
    assert(expr.includes('job=~"$job",instance=~"$instance"'), expr);
  }
});

test("the panels of the dashboard have ids of their own, and do not overlap", () => {
  assertEquals(new Set(panels.map(({ id }) => id)).size, panels.length);
  const used = new Set<string>();
  for (const { title, gridPos: { x, y, w, h } } of panels) {
    assert(x >= 0 && x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        assert(!used.has(`${column} ${line}`), title);
        used.add(`${column} ${line}`);
      }
    }
  }
});
