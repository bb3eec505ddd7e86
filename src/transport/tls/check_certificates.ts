/**
 * Checks of certificates and keys before they are used, with the same words on every
 * runtime.
 *
 * @module
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import process from "node:process";
import { NetError } from "../errors.ts";
import type { TlsServerOptions } from "../tls_options.ts";

/** The options that a {@linkcode CertificateError} names. */
export type CertificateOption = "cert" | "key" | "clientCa" | "ca";

/** The error for a certificate or a key that cannot be used. */
export class CertificateError extends NetError {
  /** The option with the flaw. */
  readonly option: CertificateOption;
  /**
   * The problem, and often how to correct it, without the name of the option. Commands
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

/** The runtimes whose TLS is not that of OpenSSL, by their members of `process.versions`. */
const isDeno = "deno" in process.versions;
const isBun = "bun" in process.versions;

/**
 * Checks that all are in PEM, that the key is not encrypted, of a kind that TLS uses, and
 * the one of the certificate. Returns them alone: the texts may hold each other and
 * comments, as those of HAProxy, stunnel and PKCS #12 do, which not every runtime skips.
 * Authorities whose issuer is missing are left out: Deno alone would trust them.
 *
 * @throws {CertificateError} for the first flaw.
 */
export function checkCertificates(
  { cert, key, clientCa, ca }: Certificates,
): Certificates {
  const authorities = {
    clientCa: authoritiesIn("clientCa", clientCa),
    ca: authoritiesIn("ca", ca),
  };
  if (cert === undefined && key === undefined) return authorities;
  const chain = parseCertificates("cert", cert ?? "");
  const [leaf] = chain;
  const own = parseKey(key ?? "");
  checkKind(own);
  if (isDeno) checkFlight(chain, authorities.clientCa);
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

/**
 * The certificates of authorities, without those that do not lead to a self-signed one among
 * them: OpenSSL does not trust these, but Deno does.
 */
function authoritiesIn(
  option: CertificateOption,
  text: string | undefined,
): string | undefined {
  if (text === undefined) return undefined;
  const all = parseCertificates(option, text);
  const trusted = all.filter(({ subject, issuer }) => subject === issuer);
  let others = all.filter((it) => !trusted.includes(it));
  for (let found = trusted; found.length > 0;) {
    const names = new Set(found.map(({ subject }) => subject));
    found = others.filter(({ issuer }) => names.has(issuer));
    others = others.filter((it) => !found.includes(it));
    trusted.push(...found);
  }
  if (trusted.length === 0) {
    throw new CertificateError(
      option,
      "has only certificates of intermediate authorities, of which none is " +
        `trusted: add that of their root, ${inOneLine(all[0].issuer)}`,
    );
  }
  return trusted.map((it) => it.toString()).join("\n");
}

function inOneLine(name: string): string {
  return name.replaceAll("\n", ", ");
}

/** The curves of TLS 1.3 (RFC 8446 section 4.2.3). */
const CURVES = ["prime256v1", "secp384r1", "secp521r1"];
const KINDS = "RSA, P-256, P-384, P-521 and Ed25519";

/** Throws if the handshakes with this key would fail. */
function checkKind(
  { asymmetricKeyType, asymmetricKeyDetails }: KeyObject,
): void {
  const type: string = asymmetricKeyType ?? "";
  const curve = asymmetricKeyDetails?.namedCurve ?? "";
  const known = type === "ec"
    ? CURVES.includes(curve)
    : !isDeno || type === "rsa" || type === "ed25519";
  if (known) return;
  const kind = type === "ec" ? `the curve ${curve}` : type.toUpperCase();
  const where = type === "ec" ? "TLS 1.3" : "TLS of Deno";
  throw new CertificateError(
    "key",
    `is one of ${kind}, which ${where} cannot use: it uses ${KINDS}`,
  );
}

/** How much of a handshake Deno's clients take before they give up, in bytes. */
const MAX_FLIGHT = 64 * 1024;

/**
 * Throws if a server on Deno would send too much: it sends each authority twice, its
 * certificate after those of the server, and its name.
 */
function checkFlight(
  chain: readonly X509Certificate[],
  clientCa: string | undefined,
): void {
  if (clientCa === undefined) return;
  const authorities = parseCertificates("clientCa", clientCa);
  const sizes = [...chain, ...authorities].map(({ raw }) => raw.length);
  const names = authorities.map(({ subject }) => sizeOfName(subject));
  const size = [...sizes, ...names].reduce((sum, it) => sum + it);
  if (size <= MAX_FLIGHT) return;
  throw new CertificateError(
    "clientCa",
    `has ${authorities.length} certificates: a server on Deno sends all of them to each ` +
      `client, with its own ${
        size >> 10
      } KiB, and not every client takes more than ` +
      `${
        MAX_FLIGHT >> 10
      }: leave out authorities that issue no certificates to clients`,
  );
}

/** About the size of a name in DER, of which this is the text with a line for each part. */
function sizeOfName(subject: string): number {
  return subject.split("\n").reduce((sum, it) => sum + it.length + 10, 4);
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
    const kinds = isDeno || isBun
      ? `; if it shows nothing, this runtime does not know its kind, but ${KINDS}`
      : "";
    throw new CertificateError("key", flaw + kinds, error);
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
