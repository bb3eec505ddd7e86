/**
 * The results of a check as a table for people.
 *
 * @module
 */

import { escapeText, showMessage } from "../../cli/output/escape.ts";
import {
  type CheckName,
  type CheckReport,
  type CheckResult,
  CHECKS,
} from "../check/report.ts";

const TITLE_WIDTH = Math.max(...CHECKS.map(({ title }) => title.length));
const TIME_WIDTH = "1234.5 ms".length;

/** The checks before which a line is left empty. */
const BREAKS: readonly CheckName[] = ["login", "connect-ipv4", "socks4"];

const WORDS = { yes: "yes", no: "no", skipped: "-" } as const;

/** The colours (SGR) of outcomes; those of questions about safety are the same. */
const COLORS = { yes: 32, no: 31, skipped: 2 } as const;
const DIM = 2;
const YELLOW = 33;

/** The title of a check. */
export function titleOf(name: CheckName): string {
  return CHECKS.find((it) => it.name === name)!.title;
}

/** A line of the table, with an empty line before the first one of a group. */
export function formatResult(result: CheckResult, colors: boolean): string {
  const { name, outcome, time, detail = "" } = result;
  const paint = painter(colors);
  const title = titleOf(name).padEnd(TITLE_WIDTH);
  const word = paint(WORDS[outcome].padEnd(3), COLORS[outcome]);
  const shown = outcome === "skipped" || time === undefined
    ? ""
    : `${time.toFixed(1)} ms`;
  const text = outcome === "yes"
    ? escapeText(detail)
    : paint(escapeText(detail), DIM);
  const line = `  ${title}  ${word}  ${shown.padStart(TIME_WIDTH)}  ${text}`;
  return `${BREAKS.includes(name) ? "\n" : ""}${line.trimEnd()}\n`;
}

/** What stands below the table. */
export function formatVerdict(report: CheckReport, colors: boolean): string {
  const paint = painter(colors);
  const lines = [
    ...report.warnings.map((it) => paint(`Warning: ${sentence(it)}`, YELLOW)),
    ...report.advice.map((it) => `Advice: ${sentence(it)}`),
  ];
  return lines.length === 0 ? "" : `\n${lines.join("\n")}\n`;
}

function sentence(text: string): string {
  return showMessage(/[.?]$/.test(text) ? text : `${text}.`);
}

function painter(colors: boolean) {
  return (text: string, color: number) =>
    colors && text.trim() !== "" ? `\x1b[${color}m${text}\x1b[0m` : text;
}
