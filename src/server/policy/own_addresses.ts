/**
 * Which addresses are this machine's.
 *
 * @module
 */

import { unmapIp } from "../../protocol/address.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Transport } from "../../transport/transport.ts";

/** Milliseconds after which the system is asked again, for addresses come and go. */
const FRESH_TIME = 10_000;

/** Knows the addresses of this machine as far as the transport can tell them. */
export class OwnAddresses {
  readonly #transport: Pick<Transport, "ownAddresses">;
  readonly #clock: Clock;
  #known: ReadonlySet<string> = new Set();
  #until = -Infinity;

  constructor(
    transport: Pick<Transport, "ownAddresses">,
    clock: Clock = systemClock,
  ) {
    this.#transport = transport;
    this.#clock = clock;
  }

  /** Whether `address`, which is canonical, is one of them. */
  has(address: string): boolean {
    const now = this.#clock.now();
    if (now >= this.#until) {
      this.#known = new Set(this.#transport.ownAddresses?.().map(unmapIp));
      this.#until = now + FRESH_TIME;
    }
    return this.#known.has(address);
  }
}
