/**
 * How the console shows numbers.
 *
 * @module
 */

/** The texts of numbers. */
export interface Formats {
  /** A number with separators, as `5,000`. */
  count(value: number): string;
  /** A number of bytes with three digits and a decimal unit, as `1.23 MB`. */
  bytes(value: number): string;
  /** The same per second. */
  rate(bytesPerSecond: number): string;
  /** A duration with its two largest units, as `3 h 05 min`. */
  duration(milliseconds: number): string;
  /** A point in time, as `2026-12-31 18:00`. */
  time(time: number | string): string;
  /** Round numbers from 0 up to the first one that is not less than the maximum. */
  ticks(maximum: number): number[];
}

/** Part of the page's script: must not refer to anything outside. */
export function formats(): Formats {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const number = new Intl.NumberFormat("en");
  const twoDigits = (value: number) => String(value).padStart(2, "0");

  function bytes(value: number): string {
    let unit = 0;
    for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
    const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    return `${value.toFixed(digits)} ${units[unit]}`;
  }

  function rate(bytesPerSecond: number): string {
    return `${bytes(bytesPerSecond)}/s`;
  }

  function duration(milliseconds: number): string {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    const [minutes, hours] = [seconds / 60, seconds / 3600].map(Math.floor);
    if (seconds < 60) return `${seconds} s`;
    if (minutes < 60) return `${minutes} min ${twoDigits(seconds % 60)} s`;
    if (hours < 24) return `${hours} h ${twoDigits(minutes % 60)} min`;
    return `${Math.floor(hours / 24)} d ${twoDigits(hours % 24)} h`;
  }

  function time(value: number | string): string {
    const date = new Date(value);
    if (Number.isNaN(date.getTime())) return String(value);
    const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
    const clock = [date.getHours(), date.getMinutes()];
    return `${day.map(twoDigits).join("-")} ${clock.map(twoDigits).join(":")}`;
  }

  function ticks(maximum: number): number[] {
    const rough = Math.max(maximum, 1) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((it) => it * power >= rough)! * power;
    const count = Math.ceil(Math.max(maximum, 1) / step);
    return Array.from({ length: count + 1 }, (_, i) => i * step);
  }

  return {
    count: (value) => number.format(value),
    bytes,
    rate,
    duration,
    time,
    ticks,
  };
}
