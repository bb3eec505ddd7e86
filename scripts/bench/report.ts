/**
 * What the comparison says in the end, and in the README.
 *
 * @module
 */

import type { Figures, Subject } from "./figures.ts";
import { baselines, type EmptyStarts, table } from "./table.ts";

/** What the figures belong to. */
export interface Context {
  date: string;
  machine: string;
  /** How busy it was with other things before: its load average. */
  busy: number;
  /** The arguments of the command. */
  args: readonly string[];
  rounds: number;
  held: number;
}

/** The command that gives the figures, without what it writes into which files. */
export function command(args: readonly string[]): string {
  const rest = args.join(" ").replaceAll(/ ?--(readme\b|out[ =]\S+)/g, "");
  return `npx -y deno@2.9.6 task bench ${rest.trim()}`.trim();
}

/** How to read the table. */
export function explain(
  figures: Figures,
  subjects: readonly Subject[],
  { held, rounds }: Context,
): string {
  return `Less is better everywhere, and the best of a column is bold. ` +
    `The first columns are processor time of the server with all its processes ` +
    `and threads, for the same work. A busy machine makes all of them cost more, ` +
    `so compare within a table only, and trust one of a machine that had nothing ` +
    `else to do. A round trip goes from the client through the server to an echo and back; a new connection is a ` +
    `connection, a handshake and an octet there and back; \`localhost\` is the ` +
    `name. Memory is what ${
      held.toLocaleString("en-US")
    } open connections add ` +
    `to the resident set, divided by their number. In parentheses: the ratio to ` +
    `${baselines(figures, subjects)}, and of the start the ratio to an empty ` +
    `program on the same runtime. ` +
    (rounds === 1
      ? "One round in which the servers took turns."
      : `Medians of ${rounds} rounds in which the servers took turns.`);
}

/** The table and all that belongs to it. */
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

/** The text with something else between the marks; throws where they are missing. */
export function replaceBetweenMarks(text: string, content: string): string {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) {
    throw new Error("README.md has lost the marks of the comparison");
  }
  const head = text.slice(0, begin + BEGIN.length);
  return `${head}\n\n${content}\n\n${text.slice(end)}`;
}
