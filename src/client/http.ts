/**
 * HTTP CONNECT (RFC 9110 section 9.3.6).
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { Decode } from "../protocol/decode.ts";
import {
  encodeRequest,
  responseDecoder,
  statusText,
} from "../protocol/http_connect.ts";
import { type ClientAuth, passwordLogin } from "./auth.ts";
import type {
  ClientDialect,
  ClientReply,
  HandshakeAttempt,
} from "./dialect.ts";
import { SocksError } from "./error.ts";
import { hasLogin, type ProxyConfig } from "./proxy.ts";
import { SOCKS5H } from "./socks5.ts";

/** All statuses of success; which one it is has no meaning. */
const SUCCESS = 200;
/** 407, and 401 with which tinyproxy answers a wrong login. */
const LOGIN_FAILED = [407, 401];

/** HTTP CONNECT, with the login in the request. */
export const HTTP: ClientDialect = {
  protocol: "http",
  resolvesNames: true,
  hasBind: false,
  hasDatagrams: false,
  hasResolve: false,
  hasReverse: false,
  hasMethods: false,
  carriesPassword: true,
  checkLogin,
  canCarry: SOCKS5H.canCarry,
  cannotCarry: SOCKS5H.cannotCarry,
  encodeRequest: (_command, { hostname, port }, proxy, auth) =>
    encodeRequest({ hostname, port, login: loginOf(proxy, auth) }),
  replyDecoder,
  success: SUCCESS,
  rejectedError,
};

/** The longest name that a target can have, so that any target fits beside the login. */
const LONGEST: Endpoint = { hostname: `${"x.".repeat(127)}x`, port: 65535 };

function checkLogin({ username = "", password = "" }: ProxyConfig): void {
  encodeRequest({ ...LONGEST, login: { username, password } }); // throws if it cannot be sent
}

function loginOf(proxy: ProxyConfig, auth: readonly ClientAuth[]) {
  if (!hasLogin(proxy) || !auth.includes(passwordLogin())) return undefined;
  const { username = "", password = "" } = proxy;
  return { username, password };
}

const NOWHERE: Endpoint = { hostname: "0.0.0.0", port: 0 };

/** A response has no bound address. */
function replyDecoder(): Decode<ClientReply> {
  const decode = responseDecoder();
  return (octets) => {
    const response = decode(octets);
    if (!response) return undefined;
    const { value: { status }, size } = response;
    const reply = status >= 200 && status < 300 ? SUCCESS : status;
    return { value: { ...NOWHERE, reply }, size };
  };
}

function rejectedError(
  status: number,
  { phase, proxy, auth }: HandshakeAttempt,
): SocksError {
  if (LOGIN_FAILED.includes(status)) {
    const message = loginOf(proxy, auth)
      ? "the proxy refused the login, or accepts none by Basic"
      : "the proxy requires a login";
    return new SocksError("login-failed", message, { phase: "auth" });
  }
  const message = `the proxy rejected the request: ${statusText(status)}`;
  return new SocksError("rejected", message, { phase, reply: status });
}
