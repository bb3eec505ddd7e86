/**
 * The checks of the option `tls`.
 *
 * @module
 */

import { checkKeys } from "../transport/check_keys.ts";
import type { TlsClientOptions } from "../transport/tls_options.ts";
import type { Conn } from "../transport/transport.ts";
import type { TlsOptions } from "./options.ts";
import { plainHostname } from "./plain_hostname.ts";
import { isHttp, isOverTls, type ResolvedProxy } from "./proxy.ts";

const TEXTS = ["serverName", "ca", "cert", "key", "fingerprint256"] as const;
const FINGERPRINT = /^[\da-f]{2}(:?[\da-f]{2}){31}$/i;

/** The checked option. */
export interface TlsSettings extends TlsClientOptions {
  readonly plainDatagrams: boolean;
}

/**
 * How to check the proxy; `undefined` if it does not speak TLS.
 *
 * @throws {TypeError} if the options are invalid, or the proxy does not speak TLS.
 */
export function resolveTls(
  given: TlsOptions | undefined,
  proxy: ResolvedProxy,
): TlsSettings | undefined {
  const { hostname, protocol } = proxy;
  if (!isOverTls(proxy)) {
    if (given === undefined) return undefined;
    const meant = isHttp(proxy) ? "https" : `${protocol}+tls`;
    throw new TypeError(
      `tls is for ${meant}: proxies; ${protocol}: does not encrypt`,
    );
  }
  const options = given ?? {};
  checkKeys(options, [...TEXTS, "plainDatagrams"], "tls");
  for (const key of TEXTS) {
    const text: unknown = options[key];
    if (text === undefined || typeof text === "string" && text) continue;
    throw new TypeError(`tls.${key} must be a text that is not empty`);
  }
  checkTogether(options);
  const { serverName = hostname, plainDatagrams } = options;
  return {
    ...options,
    serverName: plainHostname(serverName).replace(/\.$/, ""),
    plainDatagrams: plainDatagrams === true,
  };
}

function checkTogether({ ca, cert, key, fingerprint256 }: TlsOptions): void {
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError("tls.cert and tls.key must be given together");
  }
  if (fingerprint256 === undefined) return;
  if (!FINGERPRINT.test(fingerprint256)) {
    throw new TypeError(
      "tls.fingerprint256 must have 64 hexadecimal digits, as printed by " +
        "openssl x509 -in FILE -noout -fingerprint -sha256",
    );
  }
  if (ca !== undefined) {
    throw new TypeError(
      "tls.ca has no effect with tls.fingerprint256; leave one of them out",
    );
  }
}

/**
 * Checks a given connection to a proxy that speaks TLS: nothing may be sent in clear, or to a
 * proxy that is not checked as `options` require.
 *
 * @throws {TypeError} if the connection is another one, or the options have no effect.
 */
export function checkGiven(conn: Conn, options: TlsOptions = {}): void {
  // Not that of `inner`: TLS to one proxy does not encrypt what that one sends to the next.
  if (!conn.tls) {
    throw new TypeError(
      "conn must speak TLS, because the proxy's protocol does; " +
        "for another kind of TLS use the protocol without +tls",
    );
  }
  const vain = TEXTS.find((key) => options[key] !== undefined);
  if (vain === undefined) return;
  throw new TypeError(
    `tls.${vain} has no effect with conn, whose handshake is complete; leave it out`,
  );
}
