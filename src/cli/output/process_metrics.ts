/**
 * The metrics of the process itself, under the names that Prometheus recommends.
 *
 * @module
 */

import { readdirSync } from "node:fs";
import process from "node:process";
import type { MetricFamily, MetricValues } from "../../server/metrics.ts";

/** The metrics that {@linkcode processMetrics} reads; with workers, the sums of all processes. */
export const PROCESS_METRICS: readonly MetricFamily[] = [
  {
    name: "process_cpu_seconds_total",
    type: "counter",
    help: "CPU time used, in seconds",
  },
  {
    name: "process_resident_memory_bytes",
    type: "gauge",
    help: "Resident memory, in bytes",
  },
  {
    name: "process_open_fds",
    type: "gauge",
    help: "Open file descriptors",
  },
];

/** Reads the metrics of this process. */
export function processMetrics(): MetricValues {
  const { user, system } = process.cpuUsage();
  const descriptors = openDescriptors();
  return {
    process_cpu_seconds_total: (user + system) / 1e6,
    process_resident_memory_bytes: process.memoryUsage.rss(),
    ...descriptors !== undefined && { process_open_fds: descriptors },
  };
}

/** How long a number of descriptors counts, in milliseconds: 5,000 take 2.4 ms to list. */
const DESCRIPTORS_AGE = 10_000;

let listed: { readonly at: number; readonly count: number } | undefined;

/** Only Linux lists them. On Deno that takes all permissions, so it is not tried. */
function openDescriptors(): number | undefined {
  if ("Deno" in globalThis) return undefined;
  const now = performance.now();
  if (listed && now - listed.at < DESCRIPTORS_AGE) return listed.count;
  try {
    listed = { at: now, count: readdirSync("/proc/self/fd").length };
    return listed.count;
  } catch {
    return undefined;
  }
}
