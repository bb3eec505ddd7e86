/**
 * The reply codes of both versions and what they mean.
 *
 * @module
 */

/** Reply codes of SOCKS5 (REP, RFC 1928 section 6). */
export const REPLY = {
  /** The command was done. */
  succeeded: 0,
  /** It failed for a reason that has no code. */
  generalFailure: 1,
  /** The server's rules do not allow it. */
  notAllowed: 2,
  /** No route to the target's network. */
  networkUnreachable: 3,
  /** The target's host is not reachable, or its name does not resolve. */
  hostUnreachable: 4,
  /** The target refused the connection. */
  connectionRefused: 5,
  /** The time to live ran out; some servers say so for a timeout. */
  ttlExpired: 6,
  /** The server does not know the command. */
  commandNotSupported: 7,
  /** The server does not know the address type. */
  addressTypeNotSupported: 8,
} as const;

/** Reply codes of SOCKS4 (CD). */
export const REPLY4 = {
  /** The command was done. */
  granted: 0x5a,
  /** Rejected or failed, for whatever reason. */
  rejected: 0x5b,
  /** The server could not reach an identd on the client. */
  noIdentd: 0x5c,
  /** The client's identd reports another user id. */
  identMismatch: 0x5d,
} as const;

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
};

const TEXT4: Readonly<Record<number, string>> = {
  [REPLY4.granted]: "granted",
  [REPLY4.rejected]: "rejected or failed",
  [REPLY4.noIdentd]: "rejected: no identd reachable on the client",
  [REPLY4.identMismatch]: "rejected: identd reports another user id",
};

/**
 * A short phrase for a reply code of SOCKS `version`, also for unknown codes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(replyText(5, REPLY.connectionRefused), "connection refused");
 * assertEquals(replyText(4, REPLY4.rejected), "rejected or failed");
 * assertEquals(replyText(5, 0x99), "unknown reply 0x99");
 * ```
 */
export function replyText(version: 4 | 5, code: number): string {
  const text = (version === 4 ? TEXT4 : TEXT)[code];
  return text ?? `unknown reply 0x${code.toString(16).padStart(2, "0")}`;
}
