/**
 * Converts the failures of operations to the errors for their callers.
 *
 * @module
 */

import { type Endpoint, formatEndpoint } from "../protocol/address.ts";
import { ProtocolError } from "../protocol/decode.ts";
import { replyText } from "../protocol/reply.ts";
import {
  type NetError,
  TlsError,
  type TlsProblem,
} from "../transport/errors.ts";
import {
  SocksError,
  type SocksErrorCode,
  type SocksHop,
  type SocksPhase,
} from "./error.ts";
import { isHttp, isOverTls, type ResolvedProxy } from "./proxy.ts";

/** The error for a failure in this phase. */
export function toSocksError(
  error: unknown,
  phase: SocksPhase,
  proxy: ResolvedProxy,
): SocksError {
  if (error instanceof SocksError) return placed(error, proxy);
  const code = codeOf(error, phase);
  const isRefused = code === "proxy-closed" && phase === "method" &&
    isOverTls(proxy);
  const shown = isRefused ? "tls-refused" : code;
  return socksError(shown, phase, proxy, error as Error);
}

function codeOf(error: unknown, phase: SocksPhase): SocksErrorCode {
  // A wrapped connection rejects with a NetError whose cause is the broken message.
  const isBroken = error instanceof ProtocolError ||
    (error as Error | undefined)?.cause instanceof ProtocolError;
  if (isBroken) return "protocol";
  if (error instanceof TlsError) return TLS_CODES[error.problem];
  return phase === "dial" || phase === "udp"
    ? "proxy-unreachable"
    : "proxy-closed";
}

const TLS_CODES: Readonly<Record<TlsProblem, SocksErrorCode>> = {
  name: "tls-name",
  untrusted: "tls-untrusted",
  pin: "tls-pin",
  refused: "tls-refused",
  "no-certificate": "tls-failed",
  handshake: "tls-failed",
};

/** The error for a TLS handshake with a target. */
export function targetTlsError(error: unknown, target: Endpoint): SocksError {
  const phase = "target-tls";
  const code = codeOf(error, phase);
  const text = (TEXT[code] ?? code).replace("proxy", "target");
  const { message } = error as Error;
  const what = `${text} (${formatEndpoint(target)}): ${message}`;
  return new SocksError(code, what, { phase, cause: error });
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
  const hop = firstHop(proxy);
  return new SocksError(code, `${what}: ${reason}`, { phase, cause, hop });
}

function firstHop(proxy: ResolvedProxy): SocksHop {
  return { number: 1, address: formatEndpoint(proxy) };
}

/** The same error, of this proxy if it names none. */
function placed(error: SocksError, proxy: ResolvedProxy): SocksError {
  const it = error as { hop?: SocksHop };
  it.hop ??= firstHop(proxy);
  return error;
}

const TEXT: Partial<Record<SocksErrorCode, string>> = {
  "proxy-unreachable": "the proxy cannot be reached",
  "tls-name": "the proxy's certificate is not accepted",
  "tls-untrusted": "the proxy's certificate is not accepted",
  "tls-pin": "the proxy's certificate is not accepted",
  "tls-refused":
    "the proxy ended the connection after the TLS handshake: it probably requires " +
    "a client certificate, or refuses the one it got",
  "tls-failed": "there is no TLS connection to the proxy",
  "proxy-closed": "the proxy closed the connection",
};

function notSpoken(proxy: ResolvedProxy): string {
  return `the proxy does not speak ${isHttp(proxy) ? "HTTP" : "SOCKS"}`;
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
