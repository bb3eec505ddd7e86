/**
 * The name of a client by its certificate.
 *
 * @module
 */

import { TlsError } from "../errors.ts";

/** The longest name of a user in SOCKS, in bytes (RFC 1929 section 2). */
const MAX_LENGTH = 255;

/**
 * Returns the common name of a subject (RFC 4519 section 2.3). Throws if there is none or
 * several of them, or if a log or a rule could not show it unambiguously.
 */
export function commonName(
  { CN: name }: { readonly CN?: string | string[] },
): string {
  if (typeof name !== "string" || name === "") {
    throw unusable("exactly one common name (CN)");
  }
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(name)) {
    throw unusable("a common name without control characters");
  }
  if (new TextEncoder().encode(name).length > MAX_LENGTH) {
    throw unusable(`a common name of at most ${MAX_LENGTH} bytes`);
  }
  return name;
}

function unusable(requirement: string): TlsError {
  const message = `the client's certificate must have ${requirement}`;
  return new TlsError("untrusted", message);
}
