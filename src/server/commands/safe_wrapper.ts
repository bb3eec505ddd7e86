/**
 * Calls the datagram wrapper of an authentication method safely.
 *
 * @module
 */

import type { DatagramWrapper } from "../../protocol/datagram.ts";

/**
 * A {@linkcode DatagramWrapper} that drops a datagram where the method's own
 * code throws: an exception in a socket's callback would end the process.
 */
export class SafeWrapper {
  readonly #wrapper: DatagramWrapper;

  constructor(wrapper: DatagramWrapper) {
    this.#wrapper = wrapper;
  }

  wrap(datagram: Uint8Array): Uint8Array | undefined {
    try {
      return this.#wrapper.wrap(datagram);
    } catch {
      return undefined;
    }
  }

  unwrap(datagram: Uint8Array): Uint8Array | undefined {
    try {
      return this.#wrapper.unwrap(datagram);
    } catch {
      return undefined;
    }
  }
}
