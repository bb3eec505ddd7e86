/**
 * The addresses of this machine.
 *
 * @module
 */

import { networkInterfaces } from "node:os";

/** Returns the IP addresses of all network interfaces, or none if the system hides them. */
export function ownAddresses(): string[] {
  try {
    const interfaces = Object.values(networkInterfaces());
    return interfaces.flatMap((it) => it ?? []).map(({ address }) => address);
  } catch {
    return []; // for example a sandbox without netlink
  }
}
