/**
 * From single measurements to the figures that are shown.
 *
 * @module
 */

import type { Mode } from "./modes.ts";

/** A server that is compared. */
export interface Subject {
  /** As it is named on the command line: `ours@bun`, `microsocks`. */
  id: string;
  /** `@heroku/socksv5 0.0.9` */
  name: string;
  /** `Bun 1.4.4`; none for a program. */
  runtime?: string;
  isOurs: boolean;
}

/** One measurement. */
export interface Measurement {
  id: string;
  mode: Mode;
  value: number;
}

/** Medians by mode and by the server's id. */
export type Figures = ReadonlyMap<Mode, ReadonlyMap<string, number>>;

/** The middle one, or the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? sorted[Math.floor(middle)]
    : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The medians of all measurements. */
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

/** The ids that cost least: one, unless several are even. */
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

/** The peer that ratios are to: microsocks where it has a figure, else the best peer. */
export function baseline(
  figures: Figures,
  mode: Mode,
  subjects: readonly Subject[],
): string | undefined {
  if (figures.get(mode)?.has("microsocks")) return "microsocks";
  return winners(figures, mode, subjects.filter((it) => !it.isOurs))[0];
}

/** Three digits, as a reader wants them: `0.412`, `12.8`, `1,350`. */
export function format(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  const digits = value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return value.toFixed(digits);
}

/** A ratio: `0.56×`. */
export function formatRatio(ratio: number): string {
  return `${ratio.toFixed(ratio < 10 ? 2 : 0)}×`;
}
