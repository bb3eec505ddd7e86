/**
 * Where BIND and UDP ASSOCIATE listen, and what clients are told of it.
 *
 * @module
 */

import { isIp } from "../../protocol/address.ts";
import type { Address } from "../../transport/transport.ts";
import { NetError } from "../../transport/errors.ts";
import type { PortRange } from "../options.ts";
import type { Settings } from "../settings.ts";

/** Opens something on a free port of the range, beginning anywhere in it; rejects as `open` does when none is free. */
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

/** The address that clients are told for one of ours. */
export function advertisedAddress(
  { advertise }: Settings,
  { hostname, port }: Address,
): Address {
  const version = isIp(hostname);
  const told = advertise.find((it) => isIp(it) === version);
  return { hostname: told ?? hostname, port };
}
