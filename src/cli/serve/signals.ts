/**
 * The signals that the program handles, besides SIGHUP.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import {
  type Host,
  IGNORED_SIGNALS,
  type ProcessSignal,
  SIGNALS,
} from "../host/host.ts";

/**
 * How long a repetition of the first signal is taken for the same one, in
 * milliseconds: Ctrl-C reaches all processes of a terminal, and `deno task`
 * passes on its own.
 */
const ECHO_TIME = 100;

/**
 * Waits for a first signal that ends the program. A second one calls `onSecond`, and later
 * ones do nothing. Other signals that would end a process are ignored.
 */
export class Signals {
  /** Resolves with the first signal, or with the cause given to `begin()`. */
  readonly first: Promise<ProcessSignal | "admin">;
  /**
   * Ends the program as a first signal does, but is none: what asks the server to drain
   * before it stops it, such as a hook of Kubernetes, still sends a first one.
   */
  readonly begin: (cause: "admin") => void;
  /** Removes the listeners. */
  readonly stop: () => void;

  /** Starts to listen for signals. */
  constructor(
    host: Pick<Host, "onSignal">,
    onSecond: (signal: ProcessSignal) => void,
    clock: Clock = systemClock,
  ) {
    let onFirst!: (cause: ProcessSignal | "admin") => void;
    this.first = new Promise((resolve) => onFirst = resolve);
    let isOver = false;
    let first: { name: ProcessSignal; at: number } | undefined;
    this.begin = onFirst;
    const names = Object.keys(SIGNALS) as ProcessSignal[];
    const removals = names.map((name) =>
      host.onSignal(name, () => {
        if (!first) {
          first = { name, at: clock.now() };
          return onFirst(name);
        }
        const isEcho = name === first.name &&
          clock.now() - first.at < ECHO_TIME;
        if (isEcho || isOver) return;
        isOver = true;
        onSecond(name);
      })
    );
    removals.push(
      ...IGNORED_SIGNALS.map((name) => host.onSignal(name, () => {})),
    );
    this.stop = () => removals.forEach((remove) => remove());
  }
}
