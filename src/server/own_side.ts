/**
 * The addresses of this machine that a client has reached.
 *
 * @module
 */

import { isUnspecified } from "../protocol/address.ts";
import type { Address, Conn } from "../transport/transport.ts";

/** The connection of a client, and what is below it. */
export interface OwnSide {
  readonly conn: Conn;
  /** The connection, without the layers that an `accept` hook has put on top. */
  readonly raw: Conn;
  /** The address that the client has reached in front of this server, if that is known. */
  readonly destination: Address | undefined;
}

/** Whether the client has reached the server at this address. */
export function isReachedAt(
  address: string,
  { conn, raw, destination }: OwnSide,
): boolean {
  return isLocal(address, conn) || raw !== conn && isLocal(address, raw) ||
    destination?.hostname === address;
}

/** A closed socket no longer reports its address; every address counts as local then. */
function isLocal(address: string, { localAddr }: Conn): boolean {
  return localAddr.hostname === "" || localAddr.hostname === address;
}

/**
 * The address at which the client has reached the server, given the connection of its
 * request: the first that is known.
 */
export function reachedAddress(
  { localAddr }: Conn,
  { conn, raw }: OwnSide,
): Address {
  for (const known of [localAddr, conn.localAddr]) {
    if (!isUnspecified(known.hostname)) return known;
  }
  return raw.localAddr;
}
