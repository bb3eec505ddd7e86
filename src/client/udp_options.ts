/**
 * The options of UDP associations.
 *
 * @module
 */

import { CLIENT_KEYS, type ClientOptions } from "./options.ts";

/** Options of {@linkcode udpAssociate}. The time limit and the signal end with the promise. */
export interface UdpOptions extends ClientOptions {
  /**
   * Whether the request contains the local socket's address and port, so that the
   * proxy accepts datagrams only from there. Behind NAT the proxy sees another address,
   * and may then drop all datagrams. If that socket cannot reach the relay
   * that the proxy names (it has the other IP version, or only one of both is on
   * loopback), the rejection's code is `proxy-unreachable`.
   *
   * @default {false}
   */
  readonly announce?: boolean;
  /**
   * How many bytes may wait for their receiver; each datagram costs 256 more than
   * its payload. When the limit is reached, the newest datagrams are dropped.
   *
   * @default {1_048_576}
   */
  readonly queueLimit?: number;
}

/** The keys of {@linkcode UdpOptions}. */
export const UDP_KEYS: readonly string[] = [
  ...CLIENT_KEYS,
  "announce",
  "queueLimit",
];
