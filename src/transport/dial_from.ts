/**
 * Connects from certain addresses of this machine. Apart from `dial.ts`, because clients do
 * not need it.
 *
 * @module
 */

import { connectTo, type DialAddressesOptions, dialEach } from "./dial.ts";
import {
  fromFirst,
  type LocalAddresses,
  noRouteFrom,
} from "./local_addresses.ts";
import type { AbortSignalLike } from "./signal.ts";
import type { Conn, Transport } from "./transport.ts";

/** Options of {@linkcode dialFrom}. */
export interface DialFromOptions extends DialAddressesOptions {
  /** Returns the local addresses for an address; without any the system chooses one. */
  readonly localAddressesOf: (address: string) => LocalAddresses | undefined;
}

/** Does what `dialAddresses()` does, from these local addresses. */
export function dialFrom(
  transport: Transport,
  { addresses, port, localAddressesOf, tls, signal }: DialFromOptions,
): Promise<Conn> {
  const connect = (hostname: string, signal?: AbortSignalLike) => {
    const to = { hostname, port, tls, signal };
    const local = localAddressesOf(hostname);
    return local
      ? fromFirst(
        local,
        versionOf(hostname),
        (localAddress) => transport.connect({ ...to, localAddress }),
      )
      : connectTo(transport, to);
  };
  const fitting = addresses.filter((it) =>
    localAddressesOf(it)?.has(versionOf(it)) ?? true
  );
  if (fitting.length > 0) {
    return dialEach(transport, fitting, connect, signal);
  }
  return Promise.reject(noRouteFrom(localAddressesOf(addresses[0])!));
}

function versionOf(address: string): 4 | 6 {
  return address.includes(":") ? 6 : 4;
}
