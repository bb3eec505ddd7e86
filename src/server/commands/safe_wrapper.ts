/**
 * Calls the datagram wrapper of an authentication method safely.
 *
 * @module
 */

import type { DatagramWrapper } from "../../protocol/datagram.ts";

/**
 * A {@linkcode DatagramWrapper} that drops a datagram if the method's code throws or
 * returns something else than bytes: an exception in a socket's callback would end the
 * process.
 */
export class SafeWrapper {
  readonly #wrapper: DatagramWrapper;

  constructor(wrapper: DatagramWrapper) {
    this.#wrapper = wrapper;
  }

  wrap(datagram: Uint8Array): Uint8Array | undefined {
    try {
      return octetsOf(this.#wrapper.wrap(datagram));
    } catch {
      return undefined;
    }
  }

  unwrap(datagram: Uint8Array): Uint8Array | undefined {
    try {
      return octetsOf(this.#wrapper.unwrap(datagram));
    } catch {
      return undefined;
    }
  }
}

/** The result if it consists of octets: a promise of an async function does not. */
function octetsOf(result: Uint8Array | undefined): Uint8Array | undefined {
  return result instanceof Uint8Array ? result : undefined;
}
