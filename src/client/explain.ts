/**
 * From what went wrong on the way to what the caller gets to see.
 *
 * @module
 */

import { formatEndpoint } from "../protocol/address.ts";
import { ProtocolError } from "../protocol/decode.ts";
import type { NetError } from "../transport/errors.ts";
import { SocksError, type SocksErrorCode, type SocksPhase } from "./error.ts";
import type { ResolvedProxy } from "./proxy.ts";

/** An error that was caught in this phase. */
export function toSocksError(
  error: unknown,
  phase: SocksPhase,
  proxy: ResolvedProxy,
): unknown {
  if (error instanceof SocksError || error instanceof TypeError) return error;
  return socksError(codeOf(error, phase), phase, proxy, error as Error);
}

function codeOf(error: unknown, phase: SocksPhase): SocksErrorCode {
  if (error instanceof ProtocolError) return "protocol";
  const reaching = phase === "dial" || phase === "udp";
  return reaching ? "proxy-unreachable" : "proxy-closed";
}

/** What ended an attempt in this phase. */
export function abortToSocksError(
  error: NetError,
  phase: SocksPhase,
  proxy: ResolvedProxy,
): SocksError {
  const { kind } = error;
  const known = kind === "timeout" || kind === "closed";
  return socksError(known ? kind : "aborted", phase, proxy, error);
}

function socksError(
  code: SocksErrorCode,
  phase: SocksPhase,
  proxy: ResolvedProxy,
  cause: Error,
): SocksError {
  const what = `${SAYING[code] ?? code} (${formatEndpoint(proxy)})`;
  return new SocksError(code, `${what}: ${cause.message}`, { phase, cause });
}

const SAYING: Partial<Record<SocksErrorCode, string>> = {
  "proxy-unreachable": "the proxy can't be reached",
  "proxy-closed": "the proxy hung up",
  protocol: "the proxy does not speak SOCKS",
};
