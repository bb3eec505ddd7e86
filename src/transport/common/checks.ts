/**
 * Arguments and addresses, checked and written in the same way on every runtime.
 *
 * @module
 */

import { NetError } from "../errors.ts";
import type { Address } from "../transport.ts";

/** For {@linkcode Conn.keepAlive}, where one can say: milliseconds of silence. */
export const KEEP_ALIVE_AFTER = 60_000;

/** Rejects what no connection attempt may get: port 0 and ports that do not exist. */
export function checkPort(port: number): void {
  if (Number.isInteger(port) && port > 0 && port < 65536) return;
  throw new NetError("invalid", `cannot connect to port ${port}`);
}

/** Octets of the longest payload that a {@linkcode DatagramSocket} sends. */
const MAX_PAYLOAD = 65_507;
/** Octets behind which a datagram that would have to wait is lost. */
export const MAX_UNSENT = 256 * 1024;
/** Octets that a waiting datagram counts beyond its payload, which may be none. */
export const WAITING_COST = 64;

/** Whether a UDP socket of one family may try to send this; `hostname` is plain. Broadcasts, which only Deno would send, are not for proxies. */
export function isSendable(
  payload: Uint8Array,
  hostname: string,
  port: number,
  overIPv6: boolean,
): boolean {
  return payload.length <= MAX_PAYLOAD && port > 0 && port < 65536 &&
    hostname.includes(":") === overIPv6 && hostname !== "255.255.255.255";
}

/** Writes an address as this library shows it: no brackets, and `::ffff:192.0.2.1` as `192.0.2.1`. */
export function plainHostname(hostname: string): string {
  if (!hostname.includes(":")) return hostname;
  const bare = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(bare) ? bare.slice(7) : bare;
}

/** An end of a socket as this library shows it; of one that has gone some runtimes tell nothing. */
export function plainAddress(
  hostname: string | null | undefined,
  port: number | null | undefined,
): Address {
  return { hostname: plainHostname(hostname ?? ""), port: port ?? 0 };
}
