/**
 * A way that is opened when it is first needed.
 *
 * @module
 */

import type { Hops } from "../../client/mod.ts";
import type { FetchOptions } from "./options.ts";
import { openWay, type Probe, type Way } from "./way.ts";

/** A way that is opened once; if that fails, it may be tried again. */
export class LazyWay {
  readonly #hops: Hops;
  readonly #options: FetchOptions;
  readonly #call: (way: Way, probe: Probe) => Promise<unknown>;
  #opening: Promise<Way> | undefined;
  #closed = false;
  /** The way, if it is open. */
  way: Way | undefined;

  /** `call` is that of {@linkcode openWay}. */
  constructor(
    hops: Hops,
    options: FetchOptions,
    call: (way: Way, probe: Probe) => Promise<unknown>,
  ) {
    this.#hops = hops;
    this.#options = options;
    this.#call = call;
  }

  open(): Promise<Way> {
    if (this.#closed) return Promise.reject(new TypeError("it is closed"));
    return this.#opening ??= this.#open();
  }

  async #open(): Promise<Way> {
    try {
      const way = await openWay(this.#hops, this.#options, this.#call);
      if (!this.#closed) return this.way = way;
      await way.close();
      throw new TypeError("it was closed");
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const opening = this.#opening;
    this.way = undefined;
    await (await opening?.catch(() => undefined))?.close();
  }
}
