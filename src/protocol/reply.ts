/**
 * The reply codes of SOCKS4 and SOCKS5.
 *
 * @module
 */

/** Reply codes of SOCKS5 (REP, RFC 1928 section 6). */
export const REPLY = {
  /** The command succeeded. */
  succeeded: 0,
  /** A failure that has no code of its own. */
  generalFailure: 1,
  /** Not allowed by the server's rules. */
  notAllowed: 2,
  /** There is no route to the target's network. */
  networkUnreachable: 3,
  /** The target is not reachable, or its name cannot be resolved. */
  hostUnreachable: 4,
  /** The target refused the connection. */
  connectionRefused: 5,
  /** The time to live expired; some servers use it for a timeout. */
  ttlExpired: 6,
  /** The server does not support the command. */
  commandNotSupported: 7,
  /** The server does not support the address type. */
  addressTypeNotSupported: 8,
} as const;

/** Reply codes of SOCKS4 (CD). */
export const REPLY4 = {
  /** The command succeeded. */
  granted: 0x5a,
  /** Rejected or failed, for any reason. */
  rejected: 0x5b,
  /** The server cannot reach an identd on the client. */
  noIdentd: 0x5c,
  /** The client's identd reports another user id. */
  identMismatch: 0x5d,
} as const;

// Tor's replies for onion services, which it sends with the flag ExtendedErrors (its
// proposal 304).
const TOR_TEXT: Readonly<Record<number, string>> = {
  0xf0: "onion service descriptor not found",
  0xf1: "onion service descriptor is invalid",
  0xf2: "introduction to the onion service failed",
  0xf3: "rendezvous with the onion service failed",
  0xf4: "the onion service requires client authorization",
  0xf5: "the client authorization for the onion service is wrong",
  0xf6: "invalid onion address",
  0xf7: "introduction to the onion service timed out",
};

const TEXT: Readonly<Record<number, string>> = {
  [REPLY.succeeded]: "succeeded",
  [REPLY.generalFailure]: "general failure",
  [REPLY.notAllowed]: "not allowed by the server's rules",
  [REPLY.networkUnreachable]: "network unreachable",
  [REPLY.hostUnreachable]: "host unreachable",
  [REPLY.connectionRefused]: "connection refused",
  [REPLY.ttlExpired]: "TTL expired",
  [REPLY.commandNotSupported]: "command not supported",
  [REPLY.addressTypeNotSupported]: "address type not supported",
  ...TOR_TEXT,
};

const TEXT4: Readonly<Record<number, string>> = {
  [REPLY4.granted]: "granted",
  [REPLY4.rejected]: "rejected or failed",
  [REPLY4.noIdentd]: "rejected: no identd reachable on the client",
  [REPLY4.identMismatch]: "rejected: identd reports another user id",
};

/**
 * Describes a reply code of SOCKS4 or SOCKS5 in a short phrase. With SOCKS5, F0 to
 * F7 are Tor's replies for onion services. Unknown codes are formatted in
 * hexadecimal.
 *
 * @example
 * ```ts
 * import { reply } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const { REPLY, REPLY4, replyText } = reply;
 * assertEquals(replyText(5, REPLY.connectionRefused), "connection refused");
 * assertEquals(replyText(4, REPLY4.rejected), "rejected or failed");
 * assertEquals(replyText(5, 0x99), "unknown reply 0x99");
 * ```
 */
export function replyText(version: 4 | 5, code: number): string {
  const text = (version === 4 ? TEXT4 : TEXT)[code];
  return text ?? `unknown reply 0x${code.toString(16).padStart(2, "0")}`;
}
