/**
 * The errors of sockets that go through proxies.
 *
 * @module
 */

import type { SocksError, SocksErrorCode } from "../../client/error.ts";
import { isHttp, type ResolvedProxy } from "../../client/proxy.ts";
import { type Endpoint, formatEndpoint } from "../../protocol/address.ts";

/**
 * The error of a connection through proxies, in the shape of those of `net.connect()`, so
 * that drivers treat it like the failure of a direct connection.
 */
export interface ConnectError extends Error {
  /**
   * The code that a direct connection would have failed with:
   *
   * - `ECONNREFUSED`, `ENETUNREACH`, `EHOSTUNREACH`, `ETIMEDOUT`, `EACCES`: a proxy reports
   *   that about the target, or the first proxy itself cannot be reached for this reason;
   *   `ECONNREFUSED` also if a proxy reports a failure without a reason
   * - `ECONNRESET`: a proxy closed the connection during the handshake
   * - `EACCES` also: a proxy refused the login, or requires one
   * - `ENOTFOUND`, `EAI_AGAIN`: a name that this client resolves has no address
   * - `ETIMEDOUT` also: the time limit was reached
   * - `ABORT_ERR`: the signal fired; the name of the error is `AbortError`
   * - `EAFNOSUPPORT`: the protocol of a proxy cannot carry such an address
   * - `EPROTO`: the answer of a proxy is broken
   * - the code of `node:tls` such as `DEPTH_ZERO_SELF_SIGNED_CERT` or `EPROTO` if there is no
   *   TLS connection to a proxy, or to the target
   */
  readonly code: string;
  /** Always `"connect"`. */
  readonly syscall: "connect";
  /** The hostname of the target. */
  readonly address: string;
  /** The port of the target. */
  readonly port: number;
  /** Which proxy failed, and why. */
  readonly cause: SocksError;
}

/** Returns the error for a failure of a connection to the target at this proxy. */
export function toConnectError(
  cause: SocksError,
  { hostname, port }: Endpoint,
  proxy: ResolvedProxy,
): ConnectError {
  const code = codeOf(cause, proxy);
  const where = formatEndpoint({ hostname, port });
  const message = `connect ${code} ${where}: ${cause.message}`;
  const error = new Error(message, { cause });
  if (code === ABORTED) error.name = "AbortError";
  const details = { code, syscall: "connect", address: hostname, port };
  return Object.assign(error, details) as ConnectError;
}

const ABORTED = "ABORT_ERR";

function codeOf(error: SocksError, proxy: ResolvedProxy): string {
  const { code, reply = 0 } = error;
  if (code === "rejected") {
    const reasons = isHttp(proxy) ? STATUSES : REPLIES;
    return reasons[reply] ?? "ECONNREFUSED";
  }
  return CODES[code] ?? systemCode(error) ?? "EPROTO";
}

/** Replies of SOCKS5; the others, and those of SOCKS4, have no reason. */
const REPLIES: Readonly<Record<number, string>> = {
  2: "EACCES",
  3: "ENETUNREACH",
  4: "EHOSTUNREACH",
  5: "ECONNREFUSED",
  6: "ETIMEDOUT",
  7: "EOPNOTSUPP",
  8: "EAFNOSUPPORT",
};

const STATUSES: Readonly<Record<number, string>> = {
  403: "EACCES",
  504: "ETIMEDOUT",
};

/** The codes without an error of the system. */
const CODES: Partial<Record<SocksErrorCode, string>> = {
  "proxy-closed": "ECONNRESET",
  protocol: "EPROTO",
  "no-method": "EACCES",
  "login-failed": "EACCES",
  "address-type": "EAFNOSUPPORT",
  timeout: "ETIMEDOUT",
  aborted: ABORTED,
};

/** The code of the innermost cause that has one. */
function systemCode(error: SocksError): string | undefined {
  let found: string | undefined;
  let it: unknown = error.cause;
  for (let depth = 0; it instanceof Error && depth < 5; depth++) {
    const { code } = it as { code?: unknown };
    if (typeof code === "string") found = code;
    it = it.cause;
  }
  return found;
}
