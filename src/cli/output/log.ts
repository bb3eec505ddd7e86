/**
 * The log of a running server.
 *
 * @module
 */

import type { ServerEvent, Session } from "../../server/events.ts";
import { systemClock } from "../../transport/clock.ts";
import type { Host } from "../host/host.ts";
import { formatRecord, type LogFormat } from "./format.ts";
import { LineWriter } from "./line_writer.ts";
import type { LogRecord } from "./record.ts";

/** Prints records on the standard output. */
export interface Log {
  /** Prints the line of a record, if it has one, with a short delay. */
  print(record: LogRecord): void;
  /** Prints the line of a record immediately, if it has one. */
  printNow(record: LogRecord): void;
  /**
   * Prints the events of a server, except for its start and shutdown. `undefined`
   * if the log has no line for any of them.
   */
  readonly onEvent: ((event: ServerEvent) => void) | undefined;
  /** Has lines that are not written yet: call `finish()` before the program ends. */
  readonly output: LineWriter;
}

/** Options of {@linkcode openLog}. */
export interface LogOptions {
  readonly log: LogFormat;
  /** Whether the start of a session has a line, when its request is complete. */
  readonly logStart: boolean;
  /** The number of the worker, if there are several. */
  readonly worker?: number;
}

/** Opens the log on the standard output. */
export async function openLog(
  host: Host,
  { log, logStart, worker }: LogOptions,
): Promise<Log> {
  const isTerminal = await host.hasTerminal();
  const format = log !== "auto" ? log : isTerminal ? "text" : "json";
  const colors = isTerminal && host.wantsColors;
  const options = { format, isTerminal, colors, worker } as const;
  const lineOf = (record: LogRecord) =>
    formatRecord(options, record, new Date());
  const output = new LineWriter({
    write: (text) => host.write(text),
    formatDropped: (lines) => lineOf({ type: "lines-dropped", lines }) ?? "",
  });
  const print = (record: LogRecord) => {
    const line = lineOf(record);
    if (line !== undefined) output.print(line);
  };
  const denials = new DenialLimiter();
  return {
    output,
    print,
    printNow(record) {
      const line = lineOf(record);
      if (line !== undefined) output.printNow(line);
    },
    onEvent: format === "off" ? undefined : (event) => {
      switch (event.type) {
        // The program has records of its own for these, with more information.
        case "listening":
        case "drain":
        case "shutdown":
          return;
      }
      if (event.type === "request" && !logStart) return;
      const isPerMachine = event.type === "own-addresses-unknown";
      if (isPerMachine && worker !== undefined && worker > 1) return;
      if (event.type !== "denied" || denials.mayPrint(event.session)) {
        print(event);
      }
    },
  };
}

/**
 * The maximum number of denials that are printed per second and session. A UDP
 * association can have thousands; `dropped` counts them in the line of its end.
 */
const DENIALS_PER_SECOND = 10;

class DenialLimiter {
  readonly #printed = new WeakMap<Session, { count: number; until: number }>();

  /** Counts a denial. Returns whether to print it. */
  mayPrint(session: Session): boolean {
    const now = systemClock.now();
    let printed = this.#printed.get(session);
    if (!printed || now >= printed.until) {
      this.#printed.set(session, printed = { count: 0, until: now + 1_000 });
    }
    return ++printed.count <= DENIALS_PER_SECOND;
  }
}
