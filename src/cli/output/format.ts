/**
 * The lines of the log.
 *
 * @module
 */

import { formatJson } from "./json_line.ts";
import type { LogRecord } from "./record.ts";
import { formatText } from "./text_line.ts";

/** The values of `--log`; `auto` is `text` on a terminal and `json` elsewhere. */
export const LOG_FORMATS = ["auto", "text", "json", "off"] as const;

/** The format of the log; `off` leaves only the lines about the program itself. */
export type LogFormat = typeof LOG_FORMATS[number];

/** Options of {@linkcode formatRecord}. */
export interface LineOptions {
  /** Without `auto`, which depends on the standard output. */
  readonly format: Exclude<LogFormat, "auto">;
  /**
   * Whether text is for a terminal: in columns, and without the date.
   *
   * @default {false}
   */
  readonly isTerminal?: boolean;
  /**
   * Whether text is coloured.
   *
   * @default {false}
   */
  readonly colors?: boolean;
  /** The number of the worker, if there are several. Only JSON has it. */
  readonly worker?: number;
}

/** Formats a record as a line. Returns `undefined` for a record that is not printed. */
export function formatRecord(
  options: LineOptions,
  record: LogRecord,
  now: Date,
): string | undefined {
  const { format, worker } = options;
  if (format === "json") return formatJson(record, now, worker);
  if (format === "off" && !ALWAYS.includes(record.type)) return undefined;
  return formatText(record, now, options);
}

/** The records that are printed even if the log is off. */
const ALWAYS: readonly LogRecord["type"][] = [
  "listening",
  "worker-ended",
  "worker-started",
  "reloaded",
  "reload-failed",
  "drain",
  "shutdown",
  "terminated",
  "accounting-failed",
  "shared-lost",
  "shared-found",
  "admin",
];
