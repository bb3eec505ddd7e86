/**
 * Formats the figures as a table in Markdown.
 *
 * @module
 */

import {
  baseline,
  type Figures,
  format,
  formatRatio,
  type Subject,
  winners,
} from "./figures.ts";
import { type Mode, modeNames, modes } from "./modes.ts";

/** The duration of an empty program in milliseconds, by the id of the server. */
export type EmptyStarts = ReadonlyMap<string, number>;

/** Returns the modes that have figures, in the order of the columns. */
export function measuredModes(figures: Figures): Mode[] {
  return modeNames.filter((it) => figures.has(it));
}

/** Formats a row for each server and a column for each mode; the best value is bold. */
export function table(
  figures: Figures,
  subjects: readonly Subject[],
  empty: EmptyStarts,
): string {
  const columns = measuredModes(figures);
  const heads = columns.map((mode) =>
    `${modes[mode].title}<br>${modes[mode].unit}`
  );
  const rows = subjects.map((subject) => [
    nameOf(subject),
    ...columns.map((mode) => cell(figures, subjects, empty, mode, subject.id)),
  ]);
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(["", ...heads]),
    line(["---", ...columns.map(() => "---:")]),
    ...rows.map(line),
  ].join("\n");
}

/** Names the base of the ratios: `microsocks`, and others with their modes. */
export function baselines(
  figures: Figures,
  subjects: readonly Subject[],
): string {
  const groups = new Map<string, string[]>();
  for (const mode of measuredModes(figures)) {
    if (mode === "start") continue;
    const id = baseline(figures, mode, subjects);
    if (id === undefined) continue;
    groups.set(id, [...groups.get(id) ?? [], modes[mode].title]);
  }
  const sorted = [...groups].sort(([, a], [, b]) => b.length - a.length);
  return sorted.map(([id, titles], i) =>
    i === 0 ? id : `${id} (${titles.join(", ")})`
  ).join(", ");
}

function nameOf({ name, runtime, isOurs }: Subject): string {
  const text = runtime ? `${name}, ${runtime}` : name;
  return isOurs ? `**${text}**` : text;
}

function cell(
  figures: Figures,
  subjects: readonly Subject[],
  empty: EmptyStarts,
  mode: Mode,
  id: string,
): string {
  const value = figures.get(mode)?.get(id);
  if (value === undefined) return "–";
  const best = winners(figures, mode, subjects).includes(id);
  const text = best ? `**${format(value)}**` : format(value);
  const reference = mode === "start"
    ? empty.get(id)
    : figures.get(mode)?.get(baseline(figures, mode, subjects) ?? "");
  return reference ? `${text} (${formatRatio(value / reference)})` : text;
}
