/**
 * Puts the fragments of an association together, with a time limit.
 *
 * @module
 */

import { type Datagram, Reassembler } from "../../protocol/datagram.ts";
import type { Clock } from "../../transport/clock.ts";
import type { Timeout } from "../../transport/timeouts.ts";

/**
 * How long to wait for the next fragment, in milliseconds (RFC 1928 section 7:
 * not less than 5 seconds).
 */
const FRAGMENT_TIME = 10_000;

/**
 * A {@linkcode Reassembler} that abandons a sequence when the next fragment
 * does not come in time.
 */
export class FragmentQueue extends Reassembler {
  readonly #clock: Clock;
  #timeout: Timeout | undefined;

  constructor(clock: Clock) {
    super();
    this.#clock = clock;
  }

  override add(datagram: Datagram): Datagram | undefined {
    const whole = super.add(datagram);
    this.#timeout?.cancel();
    this.#timeout = this.waiting
      ? this.#clock.startTimeout(FRAGMENT_TIME, reset, this)
      : undefined;
    return whole;
  }

  override reset(): void {
    this.#timeout?.cancel();
    super.reset();
  }
}

function reset(queue: FragmentQueue): void {
  queue.reset();
}
