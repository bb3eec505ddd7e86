/**
 * The addresses of this machine.
 *
 * @module
 */

import { unmapIp } from "../../protocol/address.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Transport } from "../../transport/transport.ts";

/** How long the list is used, in milliseconds: addresses come and go. */
const LIFETIME = 10_000;

/** Knows the addresses of this machine as far as the transport reports them. */
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

  /** Whether any of them is known; even a machine without a network has loopback. */
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
