/**
 * SIGHUP, which reloads the files.
 *
 * @module
 */

import type { Host } from "../host/host.ts";

/**
 * Listens for SIGHUP from the first file that is read on: a service manager may send it as
 * soon as the process exists, and without a listener it would end the program. A reload that
 * is asked for before the server runs is done when it does.
 */
export class Hangups {
  /** Removes the listener. */
  readonly stop: () => void;
  #isPending = false;
  #reload: (() => void) | undefined;

  /** Starts to listen. */
  constructor(host: Pick<Host, "onSignal">) {
    this.stop = host.onSignal("SIGHUP", () => {
      if (this.#reload) this.#reload();
      else this.#isPending = true;
    });
  }

  /** Calls `reload` at each signal from now on, and now if there was one before. */
  start(reload: () => void): void {
    this.#reload = reload;
    if (!this.#isPending) return;
    this.#isPending = false;
    reload();
  }
}
