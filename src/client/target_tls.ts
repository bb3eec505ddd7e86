/**
 * The check of the option `targetTls`: the module is loaded by the first call with it.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { TlsClientOptions } from "../transport/tls_options.ts";
import type { TargetTlsOptions } from "./options.ts";
import { certifiedName, checkTls } from "./resolve_tls.ts";

/**
 * How to check the target.
 *
 * @throws {TypeError} if the options are invalid.
 */
export function resolveTargetTls(
  given: true | TargetTlsOptions,
  { hostname }: Endpoint,
): TlsClientOptions {
  const options = given === true ? {} : given;
  checkTls(options, "alpn", "targetTls");
  const { serverName = hostname, alpn } = options;
  if (alpn !== undefined && !isAlpn(alpn)) {
    throw new TypeError(
      'targetTls.alpn must be a list of names, such as ["h2", "http/1.1"]',
    );
  }
  return { ...options, serverName: certifiedName(serverName) };
}

/** Names have 1 to 255 octets (RFC 7301 section 3.1). */
function isAlpn(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0 &&
    list.every((it) =>
      typeof it === "string" && /^[\x21-\x7e]{1,255}$/.test(it)
    );
}
