/**
 * Checks of certificates and keys before they are used, with the same words on every
 * runtime.
 *
 * @module
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { NetError } from "../errors.ts";
import type { TlsServerOptions } from "../tls_options.ts";

/** The options that a {@linkcode CertificateError} names. */
export type CertificateOption = "cert" | "key" | "clientCa" | "ca";

/** The error for a certificate or a key that cannot be used. */
export class CertificateError extends NetError {
  /** The option with the flaw. */
  readonly option: CertificateOption;
  /**
   * What is wrong, and often how to correct it, without the name of the option. Commands
   * have `$CERT`, `$KEY` and `$FILE` for the paths of the files.
   */
  readonly flaw: string;

  /** The message begins with the name of the option. */
  constructor(option: CertificateOption, flaw: string, cause?: unknown) {
    super("invalid", `${option} ${flaw}`, cause);
    this.option = option;
    this.flaw = flaw;
  }
}

/** A certificate with its key, or certificates of authorities, in PEM. */
export interface Certificates
  extends Partial<Pick<TlsServerOptions, "cert" | "key" | "clientCa">> {
  readonly ca?: string;
}

/**
 * Checks that all are in PEM, that the key is not encrypted, and that it is the one of the
 * certificate. Returns them alone: the texts may hold each other and comments, as those of
 * HAProxy, stunnel and PKCS #12 do, which not every runtime skips.
 *
 * @throws {CertificateError} for the first flaw.
 */
export function checkCertificates(
  { cert, key, clientCa, ca }: Certificates,
): Certificates {
  if (clientCa !== undefined) parseCertificates("clientCa", clientCa);
  if (ca !== undefined) parseCertificates("ca", ca);
  const authorities = {
    clientCa: certificatesIn(clientCa),
    ca: certificatesIn(ca),
  };
  if (cert === undefined && key === undefined) return authorities;
  const [leaf] = parseCertificates("cert", cert ?? "");
  const own = parseKey(key ?? "");
  if (leaf.checkPrivateKey(own)) {
    return { ...authorities, cert: certificatesIn(cert), key: keyIn(key!) };
  }
  throw new CertificateError(
    "key",
    "is not the key of the certificate: both of these must print the same: " +
      "openssl x509 -in $CERT -noout -pubkey; openssl pkey -in $KEY -pubout",
  );
}

/** The dates between which the first certificate of a text in PEM is valid. */
export function validityOf(cert: string): { from: Date; to: Date } {
  const [{ validFrom, validTo }] = parseCertificates("cert", cert);
  return { from: new Date(validFrom), to: new Date(validTo) };
}

const CERTIFICATE =
  /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function parseCertificates(
  option: CertificateOption,
  text: string,
): X509Certificate[] {
  const found = text.match(CERTIFICATE);
  if (!found) throw new CertificateError(option, noCertificate(text));
  return found.map((pem) => {
    try {
      return new X509Certificate(pem);
    } catch (error) {
      const flaw = "has a certificate that cannot be read; " +
        "openssl x509 -in $FILE -noout -text shows why";
      throw new CertificateError(option, flaw, error);
    }
  });
}

function noCertificate(text: string): string {
  if (KEY.test(text)) return "is a private key, not a certificate";
  return "is not a certificate in PEM, which has a line " +
    "-----BEGIN CERTIFICATE-----; for one in DER: " +
    "openssl x509 -inform DER -in $FILE -out cert.pem";
}

const KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/;
const WHOLE_KEY =
  /-----BEGIN ((?:[A-Z]+ )?PRIVATE KEY)-----[^-]*-----END \1-----/;
const ENCRYPTED =
  /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

function parseKey(text: string): KeyObject {
  if (ENCRYPTED.test(text)) {
    throw new CertificateError(
      "key",
      "is encrypted, and a server cannot ask for its passphrase: " +
        "openssl pkey -in $KEY -out key.pem decrypts it",
    );
  }
  if (!KEY.test(text)) throw new CertificateError("key", noKey(text));
  try {
    return createPrivateKey(keyIn(text));
  } catch (error) {
    const flaw = "cannot be read; openssl pkey -in $KEY -noout shows why";
    throw new CertificateError("key", flaw, error);
  }
}

function certificatesIn(text: string | undefined): string | undefined {
  return text?.match(CERTIFICATE)?.join("\n");
}

function keyIn(text: string): string {
  return text.match(WHOLE_KEY)?.[0] ?? text;
}

function noKey(text: string): string {
  if (text.match(CERTIFICATE)) return "is a certificate, not a private key";
  return "is not a private key in PEM, which has a line " +
    "-----BEGIN PRIVATE KEY-----";
}
