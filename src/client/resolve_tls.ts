/**
 * The checks of the option `tls`.
 *
 * @module
 */

import { checkKeys } from "../transport/check_keys.ts";
import type { TlsClientOptions } from "../transport/tls_options.ts";
import type { TargetTlsOptions, TlsOptions } from "./options.ts";
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
  checkTls(options, "plainDatagrams", "tls");
  const { serverName = hostname, plainDatagrams } = options;
  return {
    ...options,
    serverName: certifiedName(serverName),
    plainDatagrams: plainDatagrams === true,
  };
}

/** A name as certificates have it. */
export function certifiedName(hostname: string): string {
  return plainHostname(hostname).replace(/\.$/, "");
}

/** Throws a TypeError unless the options, which are called `name`, are valid. */
export function checkTls(
  options: TargetTlsOptions,
  another: string,
  name: string,
): void {
  checkKeys(options, [...TEXTS, another], name);
  for (const key of TEXTS) {
    const text: unknown = options[key];
    if (text === undefined || typeof text === "string" && text) continue;
    throw new TypeError(`${name}.${key} must be a text that is not empty`);
  }
  const { ca, cert, key, fingerprint256 } = options;
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError(`${name}.cert and ${name}.key must be given together`);
  }
  if (fingerprint256 === undefined) return;
  if (!FINGERPRINT.test(fingerprint256)) {
    throw new TypeError(
      `${name}.fingerprint256 must have 64 hexadecimal digits, as printed by ` +
        "openssl x509 -in FILE -noout -fingerprint -sha256",
    );
  }
  if (ca !== undefined) {
    throw new TypeError(
      `${name}.ca has no effect with ${name}.fingerprint256; leave one of them out`,
    );
  }
}

/**
 * Checks the options for a given connection that speaks TLS: nothing may be sent to a proxy
 * that is not checked as they require.
 *
 * @throws {TypeError} if they have no effect.
 */
export function checkGiven(options: TlsOptions = {}): void {
  const vain = TEXTS.find((key) => options[key] !== undefined);
  if (vain === undefined) return;
  throw new TypeError(
    `tls.${vain} has no effect with conn, whose handshake is complete; leave it out`,
  );
}
