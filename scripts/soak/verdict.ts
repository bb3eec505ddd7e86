/**
 * Whether what a server holds stays the same.
 *
 * @module
 */

import { median } from "../bench/figures.ts";

/** What was seen of one server in the long run. */
export interface Observations {
  /** Octets of memory, at even distances while the load was on. */
  memory: readonly number[];
  /** Descriptors in each pause; where that cannot be known, none. */
  descriptors: readonly number[];
  done: number;
  /** What clients saw that should not be. */
  failures: readonly string[];
}

/** By how much memory may grow. */
export interface Slack {
  factor: number;
  octets: number;
}

/** The median memory of the second and of the last quarter. */
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
 * What is wrong. Descriptors have to be as many in each pause as in the first;
 * memory may not grow from the second quarter to the last by more than the
 * slack; and all clients have to have got what they came for.
 */
export function complaints(
  { memory, descriptors, done, failures }: Observations,
  slack: Slack,
): string[] {
  const found = [...failures];
  if (done === 0) found.push("nothing was done");
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

/** In MiB, without a fraction. */
export function mebi(octets: number): string {
  return (octets / 2 ** 20).toFixed(0);
}
