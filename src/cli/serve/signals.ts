/**
 * The signals that end the program.
 *
 * @module
 */

import { type Host, type ProcessSignal, SIGNALS } from "../host/host.ts";

/**
 * Milliseconds in which the same signal once more is the same one: Ctrl-C
 * reaches all processes of a terminal, and `deno task` passes its own on.
 */
const ECHO = 100;

/** Waits for a first signal; a second one calls `onSecond` with the exit code. */
export class Signals {
  /** The first one. */
  readonly first: Promise<ProcessSignal>;
  /** Leaves signals to the runtime again. */
  readonly forget: () => void;

  /** `now` gives milliseconds that never go back. */
  constructor(
    host: Pick<Host, "onSignal">,
    onSecond: (code: number) => void,
    now: () => number = () => performance.now(),
  ) {
    let onFirst!: (signal: ProcessSignal) => void;
    this.first = new Promise((resolve) => onFirst = resolve);
    let first: { name: ProcessSignal; at: number } | undefined;
    const names = Object.keys(SIGNALS) as ProcessSignal[];
    const undo = names.map((name) =>
      host.onSignal(name, () => {
        if (!first) {
          first = { name, at: now() };
          return onFirst(name);
        }
        const isEcho = name === first.name && now() - first.at < ECHO;
        if (!isEcho) onSecond(128 + SIGNALS[name]);
      })
    );
    this.forget = () => undo.forEach((it) => it());
  }
}
