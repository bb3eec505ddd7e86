/**
 * The log of a running server.
 *
 * @module
 */

import type { ServerEvent } from "../server/events.ts";
import type { Host } from "./host/host.ts";
import { formatRecord, type LogFormat, type LogRecord } from "./log.ts";
import { Output } from "./output.ts";

/** Prints what happens. */
export interface Log {
  /** Prints the line of a record, if it has one, a moment later. */
  note(record: LogRecord): void;
  /** Prints the line of a record that someone waits for, at once. */
  tell(record: LogRecord): void;
  /** The same for what happens in a server, but for its beginning and end; `undefined` when nothing of it is printed. */
  readonly onEvent: ((event: ServerEvent) => void) | undefined;
  /** Where the lines go: to be finished at the end. */
  readonly output: Output;
}

/** A log on the standard output, in the form that `--log` asks for; of a worker it tells which one. */
export async function openLog(
  host: Host,
  log: LogFormat,
  worker?: number,
): Promise<Log> {
  const isTerminal = await host.hasTerminal();
  const format = log !== "auto" ? log : isTerminal ? "text" : "json";
  const colors = isTerminal && host.wantsColors;
  const options = { format, colors, worker } as const;
  const lineOf = (record: LogRecord) =>
    formatRecord(options, record, new Date());
  const output = new Output({
    write: (text) => host.write(text),
    tellDropped: (lines) => lineOf({ type: "lines-dropped", lines }) ?? "",
  });
  const note = (record: LogRecord) => {
    const line = lineOf(record);
    if (line !== undefined) output.print(line);
  };
  return {
    output,
    note,
    tell(record) {
      const line = lineOf(record);
      if (line !== undefined) output.printNow(line);
    },
    onEvent: format === "off" ? undefined : (event) => {
      // The program tells these two, with what the server does not know.
      if (event.type !== "listening" && event.type !== "shutdown") note(event);
    },
  };
}
