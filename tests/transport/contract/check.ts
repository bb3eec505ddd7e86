/**
 * The types that the parts of the contract of a transport share.
 *
 * @module
 */

import type { Transport } from "../../../src/transport/transport.ts";

/** Known gaps of a transport. */
export interface ContractOptions {
  /**
   * The runtime cannot send RST: peers see the end of the stream instead. With different
   * transports on both sides of a relay: the side that cannot.
   */
  readonly noReset?: boolean | "client" | "target";
  /** The runtime cannot connect UDP sockets: only the source address of loopback is known. */
  readonly noRoutes?: boolean;
  /** The runtime does not support shared ports: `listen()` rejects `reusePort`. */
  readonly noReusePort?: boolean;
}

/** Registers a test of a transport. */
export type Check = (
  what: string,
  fn: (transport: Transport) => Promise<void>,
) => void;

/** {@linkcode Transport.relay}. */
export type RelayFunction = Transport["relay"];

/** A mebibyte, in bytes. */
export const MIB = 1024 * 1024;
