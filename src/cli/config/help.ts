/**
 * The text of `--help`.
 *
 * @module
 */

import { showValue } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import { FLAG_ENTRIES, type FlagEntry } from "./flag_table.ts";
import {
  BRIEF_EXAMPLE,
  BRIEF_INTRODUCTION,
  INTRODUCTION,
  NOTES,
  TEXT_TOPICS,
  TITLE,
  USAGE,
} from "./help_texts.ts";
import { type Section, SECTIONS } from "./option.ts";

/** The columns in which the descriptions of flags begin, and the number of columns. */
const MARGIN = 33;
const BRIEF_MARGIN = 28;
const COLUMNS = 80;

const SECTION_KEYS = Object.keys(SECTIONS) as readonly Section[];

/** The topics of `--help`, in order. */
export const TOPICS: readonly string[] = [
  "all",
  ...SECTION_KEYS.map((key) => SECTIONS[key].topic),
  ...TEXT_TOPICS.map(({ name }) => name),
];

/** Other words for topics, in addition to singulars and the names of sections. */
const SYNONYMS: Readonly<Record<string, string>> = {
  auth: "logins",
  users: "logins",
  passwords: "logins",
  udp: "relay",
  bind: "relay",
  configuration: "files",
  metrics: "log",
  logging: "log",
  reload: "signals",
  exit: "signals",
};

/**
 * Returns the text of `--help`, at most 80 columns wide: without a topic the most important
 * flags, on one screen; with `all` all of them; otherwise those of the topic. The name of a
 * flag stands for its topic.
 *
 * @throws {UsageError} with all topics if there is no such topic.
 */
export function helpText(topic?: string): string {
  if (topic === undefined) return briefText();
  const name = findTopic(topic);
  if (name === "all") return fullText();
  const section = SECTION_KEYS.find((key) => SECTIONS[key].topic === name);
  if (section !== undefined) return sectionText(section);
  const found = TEXT_TOPICS.find((it) => it.name === name);
  if (found !== undefined) return found.text;
  throw new UsageError(
    `--help has no topic ${showValue(topic)}: write one of ${
      TOPICS.join(", ")
    }`,
  );
}

function findTopic(word: string): string | undefined {
  const key = SECTION_KEYS.find((it) => it === word);
  if (key !== undefined) return SECTIONS[key].topic;
  const same = TOPICS.find((it) => it === word || it === `${word}s`);
  if (same !== undefined) return same;
  if (Object.hasOwn(SYNONYMS, word)) return SYNONYMS[word];
  const flag = FLAG_ENTRIES.find(({ name }) => name === word);
  return flag && SECTIONS[flag.section].topic;
}

function briefText(): string {
  const flags = FLAG_ENTRIES.filter(({ brief }) => brief !== undefined)
    .map((it) => flagText(it, it.brief!, BRIEF_MARGIN));
  const topics = wrap(
    `More with --help TOPIC:`,
    TOPICS.map((it, i) => i < TOPICS.length - 1 ? `${it},` : it),
    "",
  );
  return [
    TITLE,
    USAGE,
    "",
    BRIEF_INTRODUCTION,
    "",
    ...flags,
    "",
    BRIEF_EXAMPLE,
    topics,
  ].join("\n");
}

function fullText(): string {
  return [
    TITLE,
    USAGE,
    INTRODUCTION,
    ...SECTION_KEYS.map(sectionText),
    ...TEXT_TOPICS.map(({ text }) => text),
  ].join("\n\n");
}

function sectionText(key: Section): string {
  const flags = FLAG_ENTRIES.filter(({ section }) => section === key);
  const lines = flags.map((it) => flagText(it, it.description, MARGIN));
  const text = [`${SECTIONS[key].title}:`, ...lines].join("\n");
  const note = NOTES[key];
  return note === undefined ? text : `${text}\n\n${note}`;
}

function flagText(entry: FlagEntry, text: string, margin: number): string {
  const { flag, alias } = entry;
  const isShort = alias?.length === 1;
  const usage = `  ${isShort ? `-${alias}, ` : ""}${flag}`;
  const indent = " ".repeat(margin - 1);
  const words = text.split(" ");
  if (alias && !isShort) words.push("Alias:", `--${alias}.`);
  const fallback = entry.entry?.option.default;
  // A switch is off unless it is given.
  if (fallback !== undefined && fallback !== false) {
    words.push(words.pop()!.replace(/\.$/, ""), `(default ${fallback})`);
  }
  return usage.length < margin
    ? wrap(usage.padEnd(margin - 1), words, indent)
    : [usage, wrap(indent, words, indent)].join("\n");
}

/** Appends words to a line, and continues on further lines that begin with `indent`. */
function wrap(first: string, words: readonly string[], indent: string): string {
  const lines = [first];
  for (const word of words) {
    if (lines.at(-1)!.length + 1 + word.length > COLUMNS) lines.push(indent);
    lines[lines.length - 1] += lines.at(-1) === "" ? word : ` ${word}`;
  }
  return lines.join("\n");
}
