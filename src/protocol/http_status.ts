/**
 * The statuses of HTTP CONNECT, and the SOCKS5 replies that mean the same.
 *
 * @module
 */

import { REPLY } from "./reply.ts";

const REASONS: Readonly<Record<number, string>> = {
  200: "Connection established",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  413: "Content Too Large",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
};

/** The name of a status (RFC 9110 section 15), if it is one that tunnels use. */
export function reasonOf(status: number): string | undefined {
  return REASONS[status];
}

/**
 * Describes a status: its number and, if it is a common one, its name.
 *
 * @example
 * ```ts
 * import { httpConnect } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(httpConnect.statusText(403), "403 Forbidden");
 * assertEquals(httpConnect.statusText(499), "499");
 * ```
 */
export function statusText(status: number): string {
  const reason = REASONS[status];
  return reason === undefined ? `${status}` : `${status} ${reason}`;
}

const STATUSES: Readonly<Record<number, number>> = {
  [REPLY.succeeded]: 200,
  [REPLY.notAllowed]: 403,
  [REPLY.hostUnreachable]: 504, // a timeout, most often
  [REPLY.ttlExpired]: 504,
  [REPLY.commandNotSupported]: 501,
};

/**
 * Returns the status of HTTP for a reply of SOCKS5: 502 if there is no better one.
 *
 * @example
 * ```ts
 * import { httpConnect, reply } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(httpConnect.statusOfReply(reply.REPLY.connectionRefused), 502);
 * ```
 */
export function statusOfReply(reply: number): number {
  return STATUSES[reply] ?? 502;
}

const REPLIES: Readonly<Record<number, number>> = {
  403: REPLY.notAllowed,
  405: REPLY.commandNotSupported,
  501: REPLY.commandNotSupported,
  502: REPLY.hostUnreachable,
  504: REPLY.hostUnreachable,
};

/**
 * Returns the reply of SOCKS5 for a status of HTTP other than 2xx: "general failure" if
 * there is no better one.
 *
 * @example
 * ```ts
 * import { httpConnect, reply } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(httpConnect.replyOfStatus(403), reply.REPLY.notAllowed);
 * assertEquals(httpConnect.replyOfStatus(418), reply.REPLY.generalFailure);
 * ```
 */
export function replyOfStatus(status: number): number {
  return REPLIES[status] ?? REPLY.generalFailure;
}
