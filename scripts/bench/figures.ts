/**
 * Summarizes measurements as figures and formats them.
 *
 * @module
 */

import type { Mode } from "./modes.ts";

/** A server that is compared. */
export interface Subject {
  /** The name on the command line: `ours@bun`, `microsocks`. */
  id: string;
  /** The name and version, such as `@heroku/socksv5 0.0.9`. */
  name: string;
  /** Such as `Bun 1.4.4`; `undefined` for a native program. */
  runtime?: string;
  isOurs: boolean;
}

/** One measurement. */
export interface Measurement {
  id: string;
  mode: Mode;
  value: number;
}

/** Medians by mode and by the id of the server. */
export type Figures = ReadonlyMap<Mode, ReadonlyMap<string, number>>;

/** Returns the median; NaN if there are no values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? sorted[Math.floor(middle)]
    : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Returns the medians of all measurements. */
export function summarize(measurements: readonly Measurement[]): Figures {
  const values = new Map<Mode, Map<string, number[]>>();
  for (const { id, mode, value } of measurements) {
    const ofMode = values.get(mode) ?? new Map<string, number[]>();
    values.set(mode, ofMode.set(id, [...ofMode.get(id) ?? [], value]));
  }
  return new Map(
    [...values].map(([mode, ofMode]) => [
      mode,
      new Map([...ofMode].map(([id, all]) => [id, median(all)])),
    ]),
  );
}

/** Returns the ids with the lowest cost: one, unless several are equal. */
export function winners(
  figures: Figures,
  mode: Mode,
  among: readonly Subject[],
): string[] {
  const ofMode = figures.get(mode);
  const costs = among.map(({ id }) => ofMode?.get(id) ?? Infinity);
  const least = Math.min(...costs);
  if (least === Infinity) return [];
  return among.filter((_, i) => costs[i] === least).map(({ id }) => id);
}

/** Returns the base of ratios: microsocks if it has a figure, otherwise the best peer. */
export function baseline(
  figures: Figures,
  mode: Mode,
  subjects: readonly Subject[],
): string | undefined {
  if (figures.get(mode)?.has("microsocks")) return "microsocks";
  return winners(figures, mode, subjects.filter((it) => !it.isOurs))[0];
}

/** Formats a value with at least three digits: `0.412`, `12.8`, `1,350`. */
export function format(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  const digits = value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return value.toFixed(digits);
}

/** Formats a ratio: `0.56×`. */
export function formatRatio(ratio: number): string {
  return `${ratio.toFixed(ratio < 10 ? 2 : 0)}×`;
}
