/**
 * SOCKS4 and SOCKS4a.
 *
 * @module
 */

import { isIp } from "../protocol/address.ts";
import { REPLY4 } from "../protocol/reply.ts";
import { COMMAND, decodeReply, encodeRequest } from "../protocol/socks4.ts";
import type { ClientDialect } from "./dialect.ts";
import { rejectedError } from "./to_socks_error.ts";

/** SOCKS4, which carries IPv4 addresses. */
export const SOCKS4: ClientDialect = {
  protocol: "socks4",
  resolvesNames: false,
  hasBind: true,
  hasDatagrams: false,
  hasResolve: false,
  hasReverse: false,
  hasMethods: false,
  checkLogin({ username: userId }) {
    const anywhere = { hostname: "0.0.0.0", port: 0 };
    encodeRequest({ command: COMMAND.connect, ...anywhere, userId });
  },
  canCarry: (address) => isIp(address) === 4,
  cannotCarry: (hostname) =>
    `the IPv6 address of ${hostname}; use socks4a: or socks5:`,
  encodeRequest: (command, { hostname, port }, { username: userId }) =>
    encodeRequest({ command, hostname, port, userId }),
  replyDecoder: () => decodeReply,
  success: REPLY4.granted,
  rejectedError: (reply, { phase }) => rejectedError(4, reply, phase),
};

/** SOCKS4a, which also carries names. */
export const SOCKS4A: ClientDialect = {
  ...SOCKS4,
  protocol: "socks4a",
  resolvesNames: true,
  hasResolve: true,
};
