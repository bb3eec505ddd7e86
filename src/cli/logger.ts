/**
 * The log of a running server.
 *
 * @module
 */

import type { Host } from "./host.ts";
import { formatRecord, type LogFormat, type LogRecord } from "./log.ts";
import { Output } from "./output.ts";

/** Prints what happens. */
export interface Log {
  /** Prints the line of a record, if it has one, a moment later. */
  note(record: LogRecord): void;
  /** Where the lines go: to be flushed after one that someone waits for, and finished at the end. */
  readonly output: Output;
}

/** A log on the standard output, in the form that `--log` asks for. */
export function openLog(host: Host, log: LogFormat): Log {
  const format = log !== "auto" ? log : host.hasTerminal ? "text" : "json";
  const options = { format, colors: host.hasColors } as const;
  const lineOf = (record: LogRecord) =>
    formatRecord(options, record, new Date());
  const output = new Output({
    write: (text) => host.write(text),
    tellDropped: (lines) => lineOf({ type: "lines-dropped", lines }) ?? "",
  });
  return {
    output,
    note(record) {
      const line = lineOf(record);
      if (line !== undefined) output.print(line);
    },
  };
}
