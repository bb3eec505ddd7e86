/**
 * Converts the failures of operations to the errors for their callers.
 *
 * @module
 */

import { formatEndpoint } from "../protocol/address.ts";
import { ProtocolError } from "../protocol/decode.ts";
import { replyText } from "../protocol/reply.ts";
import type { NetError } from "../transport/errors.ts";
import { SocksError, type SocksErrorCode, type SocksPhase } from "./error.ts";
import type { ResolvedProxy } from "./proxy.ts";

/** The error for a failure in this phase. */
export function toSocksError(
  error: unknown,
  phase: SocksPhase,
  proxy: ResolvedProxy,
): SocksError {
  if (error instanceof SocksError) return error;
  return socksError(codeOf(error, phase), phase, proxy, error as Error);
}

function codeOf(error: unknown, phase: SocksPhase): SocksErrorCode {
  // A wrapped connection rejects with a NetError whose cause is the broken message.
  const isBroken = error instanceof ProtocolError ||
    (error as Error | undefined)?.cause instanceof ProtocolError;
  if (isBroken) return "protocol";
  return phase === "dial" || phase === "udp"
    ? "proxy-unreachable"
    : "proxy-closed";
}

/** The error for an attempt that was ended early in this phase. */
export function abortToSocksError(
  error: NetError,
  phase: SocksPhase,
  proxy: ResolvedProxy,
): SocksError {
  const { kind } = error;
  const isCode = kind === "timeout" || kind === "closed";
  return socksError(isCode ? kind : "aborted", phase, proxy, error);
}

function socksError(
  code: SocksErrorCode,
  phase: SocksPhase,
  proxy: ResolvedProxy,
  cause: Error,
): SocksError {
  const text = code === "protocol" ? notSpoken(proxy) : TEXT[code] ?? code;
  const what = `${text} (${formatEndpoint(proxy)})`;
  const reason = cause?.message ?? cause;
  return new SocksError(code, `${what}: ${reason}`, { phase, cause });
}

const TEXT: Partial<Record<SocksErrorCode, string>> = {
  "proxy-unreachable": "the proxy cannot be reached",
  "proxy-closed": "the proxy closed the connection",
};

function notSpoken({ protocol }: ResolvedProxy): string {
  return `the proxy does not speak ${protocol === "http" ? "HTTP" : "SOCKS"}`;
}

/** The error for a reply of the proxy other than success. */
export function rejectedError(
  version: 4 | 5,
  reply: number,
  phase: SocksPhase,
): SocksError {
  const what = phase === "bind" ? "accepted no peer" : "rejected the request";
  const message = `the proxy ${what}: ${replyText(version, reply)}`;
  return new SocksError("rejected", message, { phase, reply });
}

/** The error for a name that this client could not resolve. */
export function unresolvedError(
  hostname: string,
  phase: SocksPhase,
  cause: Error,
): SocksError {
  const message = `cannot resolve ${hostname}: ${cause.message}`;
  return new SocksError("dns", message, { phase, cause });
}
