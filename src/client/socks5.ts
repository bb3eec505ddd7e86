/**
 * SOCKS5 (RFC 1928).
 *
 * @module
 */

import { type Endpoint, isIp } from "../protocol/address.ts";
import type { Decoded } from "../protocol/decode.ts";
import { encodeLogin } from "../protocol/password.ts";
import { REPLY } from "../protocol/reply.ts";
import { decodeReply, encodeRequest, type Reply } from "../protocol/socks5.ts";
import type { ClientDialect } from "./dialect.ts";
import type { ProxyConfig } from "./proxy.ts";
import { rejectedError } from "./to_socks_error.ts";

/** SOCKS5 whose targets are resolved by the client. */
export const SOCKS5: ClientDialect = {
  protocol: "socks5",
  resolvesNames: false,
  hasBind: true,
  hasDatagrams: true,
  hasResolve: true,
  hasReverse: true,
  hasMethods: true,
  checkLogin,
  canCarry: (address) => isIp(address) !== 0,
  cannotCarry: (hostname, address) =>
    `the zone of ${address}, the address of ${hostname}; use socks5h:`,
  encodeRequest: (command, { hostname, port }) =>
    encodeRequest({ command, hostname, port }),
  replyDecoder: () => decodeReplyLeniently,
  success: REPLY.succeeded,
  rejectedError: (reply, { phase }) => rejectedError(5, reply, phase),
};

/** SOCKS5 whose targets are resolved by the proxy. */
export const SOCKS5H: ClientDialect = {
  ...SOCKS5,
  protocol: "socks5h",
  resolvesNames: true,
};

function checkLogin({ username = "", password = "" }: ProxyConfig): void {
  if (!username && !password) return;
  encodeLogin({ username, password }); // throws if a field is too long
}

const NOWHERE: Endpoint = { hostname: "0.0.0.0", port: 0 };

/**
 * Decodes a reply. A refusal consumes everything that has arrived: some servers send
 * only VER and REP, others an invalid address, and no data follows a refusal.
 */
function decodeReplyLeniently(octets: Uint8Array): Decoded<Reply> | undefined {
  const [version, reply] = octets;
  return version === 5 && reply > 0
    ? { value: { reply, ...NOWHERE }, size: octets.length }
    : decodeReply(octets);
}
