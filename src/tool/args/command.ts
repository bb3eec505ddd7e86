/**
 * The description of a command: its arguments and its help.
 *
 * @module
 */

import type { Flag } from "./flags.ts";

/** A command as its `--help` describes it. */
export interface Command {
  /** Such as `connect`. */
  readonly name: string;
  /** The arguments after the name. */
  readonly usage: string;
  /** What it does, in one sentence without a period. */
  readonly summary: string;
  /** Paragraphs below the summary, in lines of at most 80 columns. */
  readonly text: string;
  readonly flags: readonly Flag[];
  /** Lines of a shell. */
  readonly examples: readonly string[];
}

const COLUMNS = 80;
const MARGIN = 25;

/** The text of `socks5 COMMAND --help`, at most 80 columns wide. */
export function commandHelp(command: Command): string {
  const { name, usage, summary, text, flags, examples } = command;
  return [
    `Usage: socks5 ${name} ${usage}`,
    "",
    `${summary}.`,
    "",
    text,
    "",
    ...flags.map(flagText),
    "",
    examples.length > 1 ? "Examples:" : "Example:",
    ...examples.map((it) => `  ${it}`),
  ].join("\n");
}

function flagText({ name, value, text }: Flag): string {
  const short = name === "help" ? "-h, " : "";
  const flag = `  ${short}--${name}${value === undefined ? "" : ` ${value}`}`;
  const fits = flag.length < MARGIN - 1;
  const lines = [fits ? flag.padEnd(MARGIN) : flag];
  if (!fits) lines.push(" ".repeat(MARGIN));
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    const isEmpty = line.trim() === "" || line === flag.padEnd(MARGIN);
    if (line.length + word.length + 1 > COLUMNS) {
      lines.push(" ".repeat(MARGIN) + word);
    } else lines[lines.length - 1] = isEmpty ? line + word : `${line} ${word}`;
  }
  return lines.join("\n");
}
