/**
 * The addresses of this machine.
 *
 * @module
 */

import { networkInterfaces } from "node:os";

/** The IP addresses of all network interfaces; none where the system does not tell. */
export function ownAddresses(): string[] {
  try {
    const interfaces = Object.values(networkInterfaces());
    return interfaces.flatMap((it) => it ?? []).map(({ address }) => address);
  } catch {
    return []; // such as a sandbox without netlink
  }
}
