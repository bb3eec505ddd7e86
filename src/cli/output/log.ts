/**
 * The log of a running server.
 *
 * @module
 */

import type { ServerEvent, Session } from "../../server/events.ts";
import type { Host } from "../host/host.ts";
import { formatRecord, type LogFormat, type LogRecord } from "./format.ts";
import { Output } from "./line_writer.ts";

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
  const denials = new Denials();
  return {
    output,
    note,
    tell(record) {
      const line = lineOf(record);
      if (line !== undefined) output.printNow(line);
    },
    onEvent: format === "off" ? undefined : (event) => {
      // The program tells these two, with what the server does not know.
      if (event.type === "listening" || event.type === "shutdown") return;
      if (event.type !== "denied" || denials.isFew(event.session)) note(event);
    },
  };
}

/** How many denials of one session are printed in a second: an association can have thousands, and `dropped` tells of them at its end. */
const FEW = 10;

class Denials {
  readonly #told = new WeakMap<Session, { count: number; until: number }>();

  /** Whether one more may be printed. */
  isFew(session: Session): boolean {
    const now = performance.now();
    let told = this.#told.get(session);
    if (!told || now >= told.until) {
      this.#told.set(session, told = { count: 0, until: now + 1_000 });
    }
    return ++told.count <= FEW;
  }
}
