/**
 * Series: the name of a metric with labels, and its values.
 *
 * @module
 */

import type { Histogram } from "./histogram.ts";
import type { MetricValues } from "./values.ts";

type Labels = Readonly<Record<string, string>>;

/** A series for each value of a label. */
export function seriesOf(
  name: string,
  label: string,
  values: Readonly<Record<string, number>>,
): MetricValues {
  const pairs = Object.entries(values).map(([key, value]) =>
    [series(name, { [label]: key }), value] as const
  );
  return Object.fromEntries(pairs);
}

/** The series of a histogram. */
export function histogramSeries(
  name: string,
  { buckets, sum }: Histogram,
  labels: Labels = {},
): MetricValues {
  const values: Record<string, number> = {};
  for (const [le, count] of buckets) {
    values[series(`${name}_bucket`, { ...labels, le })] = count;
  }
  values[series(`${name}_sum`, labels)] = sum;
  values[series(`${name}_count`, labels)] = buckets.at(-1)![1];
  return values;
}

/** The key of a series in {@linkcode MetricValues}. */
export function series(name: string, labels: Labels = {}): string {
  const pairs = Object.entries(labels).map(([label, value]) =>
    `${label}="${escapeLabel(value)}"`
  );
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("\n", "\\n");
}
