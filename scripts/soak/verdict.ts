/**
 * Decides whether the resources of a server stay constant.
 *
 * @module
 */

import { median } from "../bench/figures.ts";

/** The observations of one server in the soak test. */
export interface Observations {
  /** Memory in octets, sampled at regular intervals under load. */
  memory: readonly number[];
  /** The number of descriptors in each pause; empty if the system does not report it. */
  descriptors: readonly number[];
  done: number;
  /** The failures that clients reported. */
  failures: readonly string[];
}

/** The tolerance for the growth of memory. */
export interface Slack {
  factor: number;
  octets: number;
}

/** Returns the median memory of the second and of the last quarter. */
export function quarters(
  memory: readonly number[],
): { second: number; last: number } {
  const quarter = (n: number) =>
    median(
      memory.slice(
        n * memory.length / 4,
        Math.ceil((n + 1) * memory.length / 4),
      ),
    );
  return { second: quarter(1), last: quarter(3) };
}

/**
 * Returns the problems. The number of descriptors must be the same in each pause;
 * memory must not grow from the second quarter to the last by more than the
 * slack; and no client may have failed.
 */
export function complaints(
  { memory, descriptors, done, failures }: Observations,
  slack: Slack,
): string[] {
  const found = [...failures];
  if (done === 0) found.push("no errand succeeded");
  const [first] = descriptors;
  for (const [i, count] of descriptors.entries()) {
    if (count !== first) {
      found.push(`pause ${i + 1}: ${count} descriptors instead of ${first}`);
    }
  }
  const { second, last } = quarters(memory);
  if (!(last <= second * slack.factor + slack.octets)) {
    found.push(`memory grew from ${mebi(second)} to ${mebi(last)} MiB`);
  }
  return found;
}

/** Formats octets as MiB, without a fraction. */
export function mebi(octets: number): string {
  return (octets / 2 ** 20).toFixed(0);
}
