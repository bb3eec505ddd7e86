/**
 * The report of the comparison, also for the README.
 *
 * @module
 */

import type { Figures, Subject } from "./figures.ts";
import { baselines, type EmptyStarts, table } from "./table.ts";

/** The context of the figures. */
export interface Context {
  date: string;
  machine: string;
  /** The load average before the comparison. */
  busy: number;
  /** The arguments of the command. */
  args: readonly string[];
  rounds: number;
  held: number;
}

/** Returns the command that reproduces the figures, without its output files. */
export function command(args: readonly string[]): string {
  const rest = args.join(" ").replaceAll(/ ?--(readme\b|out[ =]\S+)/g, "");
  return `npx -y deno@2.9.6 task bench ${rest.trim()}`.trim();
}

/** Explains the table. */
export function explain(
  figures: Figures,
  subjects: readonly Subject[],
  { held, rounds }: Context,
): string {
  return `Less is better in all columns, and the best value is bold. The first ` +
    `columns are the processor time of the server, with all its processes and ` +
    `threads, for the same work. All values are higher on a busy machine, so ` +
    `compare only within a table, and measure on an idle machine. A round trip ` +
    `goes from the client through the server to an echo and back. A new ` +
    `connection includes the handshake and an octet that is echoed; the name is ` +
    `\`localhost\`. Memory is the growth of the resident set by ${
      held.toLocaleString("en-US")
    } open connections, divided by their number. In parentheses: the ratio to ` +
    `${
      baselines(figures, subjects)
    }, and for the start the ratio to an empty ` +
    `program on the same runtime. ` +
    (rounds === 1
      ? "One round in which the servers took turns."
      : `Medians of ${rounds} rounds in which the servers took turns.`);
}

/** Returns the table with its explanation. */
export function report(
  figures: Figures,
  subjects: readonly Subject[],
  empty: EmptyStarts,
  context: Context,
): string {
  const { date, machine, busy, args } = context;
  return `${table(figures, subjects, empty)}

${explain(figures, subjects, context)}

${date}, ${machine}, load average ${busy.toFixed(1)} before; \`${
    command(args)
  }\``;
}

const BEGIN =
  "<!-- bench: from here to its end written by `task bench --readme` -->";
const END = "<!-- bench: end -->";

/** Replaces the text between the marks; throws if they are missing. */
export function replaceBetweenMarks(text: string, content: string): string {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) {
    throw new Error("README.md lacks the marks of the comparison");
  }
  const head = text.slice(0, begin + BEGIN.length);
  return `${head}\n\n${content}\n\n${text.slice(end)}`;
}
