/**
 * The signals that end the program.
 *
 * @module
 */

import { type Host, type Signal, SIGNALS } from "./host.ts";

/** Waits for a first signal; a second one calls `onSecond` with the exit code. */
export class Signals {
  /** The first one. */
  readonly first: Promise<Signal>;
  /** Lets signals do again what they do to any program. */
  readonly forget: () => void;

  constructor(host: Host, onSecond: (code: number) => void) {
    let onFirst: ((signal: Signal) => void) | undefined;
    this.first = new Promise((resolve) => onFirst = resolve);
    const undo = Object.entries(SIGNALS).map(([name, number]) =>
      host.onSignal(name as Signal, () => {
        if (!onFirst) return onSecond(128 + number);
        onFirst(name as Signal);
        onFirst = undefined;
      })
    );
    this.forget = () => undo.forEach((it) => it());
  }
}
