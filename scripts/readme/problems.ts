/**
 * Finds problems in the README for a place.
 *
 * @module
 */

import type { Reader } from "./reader.ts";

/** The greatest number of lines of the README. */
const MAX_LINES = 400;

/** Matches text that is only for other readers. */
const foreign: Record<Reader, RegExp | undefined> = {
  npm: /jsr:|deno@/,
  jsr: /\b(npx|npm install|bun add)\b|deno@/,
  repository: undefined,
};

/** Returns the problems of the text for the readers of a place. */
export function problemsOf(reader: Reader, text: string): string[] {
  const wrong: string[] = [];
  const length = text.split("\n").length - 1;
  if (length > MAX_LINES) wrong.push(`it has ${length} lines`);
  if (/<!-- for/.test(text)) wrong.push("it has a mark that is not read");
  for (const [, link] of text.matchAll(/\]\((?!#|https:)([^)]*)\)/g)) {
    if (reader === "repository" || link === "speed.svg") continue;
    wrong.push(`it refers to ${link}`);
  }
  const found = foreign[reader]?.exec(text);
  if (found) wrong.push(`it has "${found[0]}"`);
  return wrong;
}
