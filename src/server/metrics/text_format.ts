/**
 * The text format of Prometheus, version 0.0.4.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * @module
 */

import { type MetricFamily, METRICS } from "./families.ts";
import type { MetricValues } from "./values.ts";

/**
 * Formats values in the text format of Prometheus, version 0.0.4. Families
 * without a value are left out.
 *
 * @example
 * ```ts
 * import { formatMetrics, METRICS, Metrics } from "@x/socks5/server";
 *
 * const family = { name: "up", type: "gauge", help: "Always 1" } as const;
 * const values = { ...new Metrics().read(), up: 1 };
 * console.log(formatMetrics(values, [...METRICS, family]));
 * ```
 */
export function formatMetrics(
  values: MetricValues,
  families: readonly MetricFamily[] = METRICS,
): string {
  const all = Object.entries(values);
  const blocks = families.flatMap(({ name, type, help }) => {
    const lines = type === "histogram"
      ? ["_bucket", "_sum", "_count"].flatMap((it) => linesOf(all, name + it))
      : linesOf(all, name).sort();
    if (lines.length === 0) return [];
    return [`# HELP ${name} ${help}.\n# TYPE ${name} ${type}\n`, ...lines];
  });
  return blocks.join("");
}

function linesOf(
  all: readonly (readonly [key: string, value: number])[],
  name: string,
): string[] {
  return all
    .filter(([key]) => key === name || key.startsWith(`${name}{`))
    .map(([key, value]) => `${key} ${value}\n`);
}
