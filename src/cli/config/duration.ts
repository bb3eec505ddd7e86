/**
 * Durations as people write and read them.
 *
 * @module
 */

import { quote } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** The longest wait that timers take: 2^31 - 1 milliseconds, a good 24 days. */
const LONGEST = 2 ** 31 - 1;

/**
 * The milliseconds of `500ms`, `10s`, `5m`, `1h` or `0`, the value of `flag`.
 *
 * @throws {UsageError} for anything else.
 */
export function parseDuration(flag: string, text: string): number {
  const [, digits, unit] = /^(\d+)(ms|s|m|h)?$/.exec(text) ?? [];
  if (digits === undefined) {
    throw new UsageError(
      `${flag} must be a duration such as 500ms, 10s, 5m, 1h or 0, ` +
        `not ${quote(text)}`,
    );
  }
  const number = Number(digits);
  if (unit === undefined && number !== 0) {
    throw new UsageError(
      `${flag} ${text} has no unit: write ${text}s for seconds, ` +
        `${text}ms for milliseconds`,
    );
  }
  const milliseconds = number * (UNITS[unit] ?? 1);
  if (milliseconds <= LONGEST) return milliseconds;
  throw new UsageError(
    `${flag} ${text} is too long: at most 596h, or 0 for never`,
  );
}

/** A duration with the precision that a reader cares for: `12ms`, `1.5s`, `2m05s`, `1h02m`. */
export function formatDuration(milliseconds: number): string {
  const ms = Math.max(0, Math.round(milliseconds));
  if (ms < 1_000) return `${ms}ms`;
  if (ms < 60_000) return `${Math.floor(ms / 100) / 10}s`;
  const [hours, minutes, seconds] = [
    Math.floor(ms / 3_600_000),
    Math.floor(ms / 60_000) % 60,
    Math.floor(ms / 1_000) % 60,
  ].map((it) => String(it).padStart(2, "0"));
  return ms < 3_600_000
    ? `${Number(minutes)}m${seconds}s`
    : `${Number(hours)}h${minutes}m`;
}
