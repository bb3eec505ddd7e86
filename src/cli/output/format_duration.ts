/**
 * Durations as the log prints them.
 *
 * @module
 */

/** Formats a duration with the precision that a reader needs: `12ms`, `1.5s`, `2m05s`, `1h02m`. */
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
