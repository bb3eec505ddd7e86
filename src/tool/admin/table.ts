/**
 * Tables for people.
 *
 * @module
 */

import { escapeText } from "../../cli/output/escape.ts";

/** A column. */
export interface Column<T> {
  readonly title: string;
  /** The text of a row; control characters in it are escaped. */
  readonly text: (row: T) => string;
  /** Whether it is a number. */
  readonly isRight?: true;
}

/** Longer texts are cut. */
const MAX_WIDTH = 48;

/** Formats rows below the titles of the columns, each as wide as its longest text. */
export function formatTable<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
): string {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ text }) => cut(escapeText(text(row))))),
  ];
  const widths = columns.map((_, i) =>
    Math.max(...cells.map((line) => line[i].length))
  );
  const lines = cells.map((line) =>
    line.map((text, i) =>
      columns[i].isRight ? text.padStart(widths[i]) : text.padEnd(widths[i])
    ).join("  ").trimEnd()
  );
  return `${lines.join("\n")}\n`;
}

function cut(text: string): string {
  return text.length <= MAX_WIDTH ? text : `${text.slice(0, MAX_WIDTH - 1)}…`;
}
