/**
 * Durations as flags and configuration files have them.
 *
 * @module
 */

import { showValue } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** The longest delay that timers support: 2^31 - 1 milliseconds, almost 25 days. */
const LONGEST = 2 ** 31 - 1;

/**
 * Returns the milliseconds of `500ms`, `10s`, `5m`, `1h` or `0`.
 *
 * @param subject The flag or key in error messages.
 * @throws {UsageError} for any other text.
 */
export function parseDuration(subject: string, text: string): number {
  const [, digits, unit] = /^(\d+)(ms|s|m|h)?$/.exec(text) ?? [];
  if (digits === undefined) {
    throw new UsageError(
      `${subject} must be a duration such as 500ms, 10s, 5m, 1h or 0, ` +
        `not ${showValue(text)}`,
    );
  }
  const number = Number(digits);
  if (unit === undefined && number !== 0) {
    throw new UsageError(
      `${subject} ${text} has no unit: write ${text}s for seconds, ` +
        `${text}ms for milliseconds`,
    );
  }
  const milliseconds = number * (UNITS[unit] ?? 1);
  if (milliseconds <= LONGEST) return milliseconds;
  throw new UsageError(
    `${subject} ${text} is too long: at most 596h, or 0 for no limit`,
  );
}
