/**
 * Checks of arguments and the bounds of send queues, the same on every runtime.
 *
 * @module
 */

import { NetError } from "../errors.ts";

/** Throws for ports that nothing can be connected to: port 0 and invalid ports. */
export function checkPort(port: number): void {
  if (Number.isInteger(port) && port > 0 && port < 65536) return;
  throw new NetError("invalid", `cannot connect to port ${port}`);
}

/** The length of the longest payload that a {@linkcode DatagramSocket} sends, in bytes. */
const MAX_PAYLOAD = 65_507;
/** How many bytes may be queued for sending; further datagrams are dropped. */
export const MAX_UNSENT = 256 * 1024;
/** How many bytes each queued datagram counts in addition to its payload, which may be empty. */
export const QUEUED_COST = 64;

/**
 * Whether a UDP socket of one address family may try to send this datagram;
 * `hostname` is plain. A broadcast may not: only Deno would send it, and a proxy must not.
 */
export function isSendable(
  payload: Uint8Array,
  hostname: string,
  port: number,
  overIPv6: boolean,
): boolean {
  return payload.length <= MAX_PAYLOAD && port > 0 && port < 65536 &&
    hostname.includes(":") === overIPv6 && hostname !== "255.255.255.255";
}
