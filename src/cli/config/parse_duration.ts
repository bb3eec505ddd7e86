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
  d: 86_400_000,
};

/** Whole numbers from the longest to the shortest unit, or a fraction of one unit. */
const FORM =
  "0+|(?=\\d)(\\d+d)?(\\d+h)?(\\d+m)?(\\d+s)?(\\d+ms)?|\\d+\\.\\d+(s|m|h|d)";

/** The pattern of the JSON Schema. */
export const DURATION_PATTERN: string = `^(${FORM})$`;

const DURATION = new RegExp(DURATION_PATTERN);

/** The longest delay that timers support: 2^31 - 1 milliseconds, almost 25 days. */
const LONGEST = 2 ** 31 - 1;

/**
 * Returns the milliseconds of `500ms`, `10s`, `5m`, `1h30m`, `1.5h`, `1d` or `0`.
 *
 * @param subject The flag or key in error messages.
 * @throws {UsageError} for any other text.
 */
export function parseDuration(subject: string, text: string): number {
  if (/^\d+$/.test(text) && Number(text) !== 0) {
    throw new UsageError(
      `${subject} ${text} has no unit: write ${text}s for seconds, ` +
        `${text}ms for milliseconds`,
    );
  }
  const milliseconds = DURATION.test(text) ? sum(text) : undefined;
  if (milliseconds === undefined) {
    throw new UsageError(
      `${subject} must be a duration such as 500ms, 10s, 1h30m, 1d or 0, ` +
        `not ${showValue(text)}`,
    );
  }
  if (milliseconds <= LONGEST) return milliseconds;
  throw new UsageError(
    `${subject} ${text} is too long: at most 24d, or 0 for no limit`,
  );
}

/** Returns `undefined` if it is not a whole number of milliseconds. */
function sum(text: string): number | undefined {
  let total = 0;
  for (const [, number, unit] of text.matchAll(/([\d.]+)(ms|[smhd])/g)) {
    total += Number(number) * UNITS[unit];
  }
  const whole = Math.round(total);
  if (whole === 0 && total > 0) return undefined; // 0 means no limit
  // 2.3 * 1000 is not 2300 in binary fractions.
  return Math.abs(whole - total) < 1e-6 || whole > LONGEST ? whole : undefined;
}
