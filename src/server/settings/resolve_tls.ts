/**
 * The checks of the option `tls`.
 *
 * @module
 */

import { checkKeys } from "../../transport/check_keys.ts";
import type { TlsServerOptions } from "../../transport/tls_options.ts";
import { OptionError } from "../option_error.ts";
import type { ServeOptions } from "../options.ts";

const KEYS = ["cert", "key", "clientCa"] as const;

/**
 * Checks the certificates, if there are any.
 *
 * @throws {OptionError} if they cannot be used.
 */
export async function resolveTls(
  { tls, listen, plainPort }: ServeOptions,
): Promise<TlsServerOptions | undefined> {
  if (tls === undefined) {
    if (plainPort === undefined) return undefined;
    throw new OptionError("plainPort", "plainPort is for a server with tls");
  }
  checkKeys(tls, KEYS, "tls");
  if (listen === false) {
    throw new OptionError("tls", "tls is for a server that listens");
  }
  for (const key of KEYS) {
    const text: unknown = tls[key];
    const isLeftOut = key === "clientCa" && text === undefined;
    if (isLeftOut || typeof text === "string") continue;
    throw new OptionError(`tls.${key}`, `tls.${key} must be a text in PEM`);
  }
  await checkTexts(tls);
  return tls;
}

async function checkTexts(tls: TlsServerOptions): Promise<void> {
  // Loaded lazily: it takes 5 to 9 ms.
  const { CertificateError, checkCertificates } = await import(
    "../../transport/tls/check_certificates.ts"
  );
  try {
    checkCertificates(tls);
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    throw new OptionError(`tls.${error.option}`, `tls.${error.message}`);
  }
}

/** Throws if an update would add or remove TLS: the port would change its protocol. */
export function checkTlsKept(
  now: TlsServerOptions | undefined,
  next: TlsServerOptions | undefined,
): void {
  if ((now === undefined) === (next === undefined)) return;
  const message = "tls cannot be added or removed while the server runs";
  throw new OptionError("tls", message);
}
