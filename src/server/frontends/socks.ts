/**
 * The parts that SOCKS4 and SOCKS5 have in common.
 *
 * @module
 */

import { COMMAND } from "../../protocol/socks5.ts";
import type { Address } from "../../transport/transport.ts";
import type { CommandName } from "../events.ts";

const COMMAND_NAMES: ReadonlyMap<number, CommandName> = new Map([
  [COMMAND.connect, "connect"],
  [COMMAND.bind, "bind"],
  [COMMAND.udpAssociate, "udp-associate"],
  [COMMAND.resolve, "resolve"],
  [COMMAND.resolvePtr, "resolve-ptr"],
]);

/** The name of a command number, if the number is one of SOCKS5's or Tor's. */
export function commandName(number: number): CommandName | undefined {
  return COMMAND_NAMES.get(number);
}

/**
 * The hostname that a reply carries for an address: without its zone
 * (`fe80::1%eth0`, on Node.js), which is meaningless to other machines;
 * `undefined` for a socket that is closed.
 */
export function replyHostname(bound: Address | undefined): string | undefined {
  const hostname = bound?.hostname || undefined;
  return hostname?.includes("%") ? hostname.split("%", 1)[0] : hostname;
}
