/**
 * The addresses of this machine.
 *
 * @module
 */

import { unmapIp } from "../../protocol/address.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Transport } from "../../transport/transport.ts";

/** How long the list is used, in milliseconds; a machine may get other addresses. */
const LIFETIME = 10_000;

/** The addresses of this machine that the transport reports. */
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

  /** Whether the list has any; even a machine without a network has loopback addresses. */
  get areKnown(): boolean {
    return this.#list().size > 0;
  }

  /** Whether this canonical address is one of them. */
  has(address: string): boolean {
    return this.#list().has(address);
  }

  #list(): ReadonlySet<string> {
    const now = this.#clock.now();
    if (now >= this.#until) {
      this.#known = new Set(this.#transport.ownAddresses?.().map(unmapIp));
      this.#until = now + LIFETIME;
    }
    return this.#known;
  }
}
