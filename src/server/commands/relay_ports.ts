/**
 * The ports that BIND and UDP ASSOCIATE listen on, and the advertised addresses.
 *
 * @module
 */

import { isIp } from "../../protocol/address.ts";
import type { Address } from "../../transport/transport.ts";
import { NetError } from "../../transport/errors.ts";
import type { PortRange } from "../policy/port_range.ts";
import type { Settings } from "../settings.ts";

/**
 * Calls `open` with the ports of the range, starting at a random one, until one is free.
 * Rejects as `open` does when none is.
 */
export async function onFreePort<T>(
  range: PortRange | undefined,
  open: (port: number) => Promise<T>,
): Promise<T> {
  if (!range) return await open(0);
  const { first, last } = range;
  const size = last - first + 1;
  const start = Math.floor(Math.random() * size);
  for (let i = 0;; i++) {
    try {
      return await open(first + (start + i) % size);
    } catch (error) {
      const inUse = error instanceof NetError && error.kind === "addr-in-use";
      if (!inUse || i + 1 === size) throw error;
    }
  }
}

/** The address that replies carry for a local address. */
export function advertisedAddress(
  { advertise }: Settings,
  { hostname, port }: Address,
): Address {
  const version = isIp(hostname);
  const advertised = advertise.find((it) => isIp(it) === version);
  return { hostname: advertised ?? hostname, port };
}
