/**
 * The reports of the comparison: all of it for the README beside this file, and a part
 * for the README of the project.
 *
 * @module
 */

import type { Figures, Subject } from "./figures.ts";
import type { Mode } from "./modes.ts";
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
function explain(
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
  const { busy, args } = context;
  return `${table(figures, subjects, empty)}

${explain(figures, subjects, context)}

${place(context)}, load average ${busy.toFixed(1)} before; \`${
    command(args)
  }\``;
}

/** The columns of the part for the README of the project. */
const mainModes: readonly Mode[] = ["down", "up", "rr", "conn", "idle"];

/** The peers of the part: the smallest server in C, and the most used one for Node. */
const mainPeers = /^(microsocks|heroku@node.*)$/;

/** Returns the part of the table for the README of the project. */
export function briefReport(
  figures: Figures,
  subjects: readonly Subject[],
  context: Context,
): string {
  const shown = subjects.filter(({ id, isOurs }) =>
    isOurs || mainPeers.test(id)
  );
  const columns = new Map(
    [...figures].filter(([mode]) => mainModes.includes(mode)),
  );
  return `${table(columns, shown, new Map())}

Less is better; in parentheses the ratio to microsocks. ${place(context)}`;
}

function place({ date, machine }: Context): string {
  return `${date}, ${machine}`;
}

const BEGIN =
  "<!-- bench: from here to its end written by `task bench --readme` -->";
const END = "<!-- bench: end -->";

/** Replaces the text between the marks; throws if they are missing. */
export function replaceBetweenMarks(text: string, content: string): string {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) {
    throw new Error("the README lacks the marks of the comparison");
  }
  const head = text.slice(0, begin + BEGIN.length);
  return `${head}\n\n${content}\n\n${text.slice(end)}`;
}
