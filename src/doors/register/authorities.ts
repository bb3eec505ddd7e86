/**
 * The authorities of certificates of a client of Deno.
 *
 * @module
 */

import * as tls from "node:tls";

/**
 * Returns those that Deno trusts and additional ones, or `undefined` without any of these.
 * All are in PEM.
 */
export function authoritiesWith(
  additional: readonly string[] = [],
): string[] | undefined {
  return additional.length > 0 ? [...authorities(), ...additional] : undefined;
}

/** Without the permission to read those that Deno trusts, none. */
function authorities(): readonly string[] {
  const { getCACertificates } = tls as {
    getCACertificates?: (type: "default") => string[];
  };
  try {
    return getCACertificates?.("default") ?? tls.rootCertificates;
  } catch {
    return [];
  }
}
