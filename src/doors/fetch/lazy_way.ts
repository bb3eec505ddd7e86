/**
 * A way that is opened when it is first needed.
 *
 * @module
 */

import { openWay } from "./open_way.ts";
import type { Route } from "./options.ts";
import { closedError, type Probe, type Purpose, type Way } from "./way.ts";

/** A way that is opened once; if that fails, it may be tried again. */
export class LazyWay {
  readonly #route: Route;
  readonly #purpose: Purpose;
  readonly #call: (way: Way, probe: Probe) => Promise<unknown>;
  #opening: Promise<Way> | undefined;
  #closing: Promise<void> | undefined;
  #closed = false;
  /** The way, if it is open. */
  way: Way | undefined;

  /** `purpose` and `call` are those of {@linkcode openWay}. */
  constructor(
    route: Route,
    purpose: Purpose,
    call: (way: Way, probe: Probe) => Promise<unknown>,
  ) {
    this.#route = route;
    this.#purpose = purpose;
    this.#call = call;
  }

  open(): Promise<Way> {
    if (this.#closed) return Promise.reject(closedError());
    return this.#opening ??= this.#open();
  }

  async #open(): Promise<Way> {
    try {
      const way = await openWay(this.#route, this.#purpose, this.#call);
      if (!this.#closed) return this.way = way;
      await way.close();
      throw closedError();
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.way = undefined;
    await (await this.#opening?.catch(() => undefined))?.close();
  }
}
