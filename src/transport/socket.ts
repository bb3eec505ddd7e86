/**
 * The form of addresses and the time of keepalive, the same for all sockets.
 *
 * @module
 */

import type { Address } from "./transport.ts";

/** How long a peer may be silent before {@linkcode Conn.keepAlive} probes it, in milliseconds. */
export const KEEP_ALIVE_AFTER = 60_000;

/** The address of a connection that has none. */
export const NO_ADDRESS: Address = { hostname: "0.0.0.0", port: 0 };

/**
 * Returns an address in the form that this library shows: without brackets, and
 * `::ffff:192.0.2.1` as `192.0.2.1`.
 */
export function plainHostname(hostname: string): string {
  if (!hostname.includes(":")) return hostname;
  const bare = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(bare) ? bare.slice(7) : bare;
}

/**
 * Returns one end of a socket in the form that this library shows. Some runtimes
 * do not report the addresses of a closed socket.
 */
export function plainAddress(
  hostname: string | null | undefined,
  port: number | null | undefined,
): Address {
  return { hostname: plainHostname(hostname ?? ""), port: port ?? 0 };
}

/** The members of `net.Socket` that end it. */
interface Resettable {
  resetAndDestroy(): unknown;
  destroy(): unknown;
}

/** Closes a socket by RST. Those of Unix sockets have none, and Node.js throws for them. */
export function resetSocket(socket: Resettable): void {
  try {
    socket.resetAndDestroy();
  } catch {
    socket.destroy();
  }
}
