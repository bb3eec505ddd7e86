/**
 * Certificates for tests, made by the program `openssl` when they are first used.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate and its private key in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** The contents of a certificate. */
export interface CertificateRequest {
  /** Such as `/CN=alice`. */
  readonly subject: string;
  /**
   * Lines of OpenSSL's `x509v3_config`, such as `subjectAltName=DNS:localhost`. By default
   * only that it is not one of an authority.
   */
  readonly extensions?: readonly string[];
  /** The issuer. By default the certificate is self-signed. */
  readonly by?: Certificate;
  /** How long it is valid from now on; negative if it has expired. @default {2} */
  readonly days?: number;
  /** The options of `openssl genpkey` for its key. By default a key on P-256. */
  readonly kind?: readonly string[];
}

/** Makes a certificate. */
export function issue(request: CertificateRequest): Certificate {
  const { subject, extensions = [NO_AUTHORITY], by, days = 2 } = request;
  const { kind = CURVE } = request;
  const folder = mkdtempSync(join(tmpdir(), "socks5-tls-"));
  const file = (name: string, content?: string) => {
    const path = join(folder, name);
    if (content !== undefined) writeFileSync(path, content);
    return path;
  };
  const key = file("key.pem");
  const csr = file("csr.pem");
  const cert = file("cert.pem");
  const issuer = by
    ? ["-CA", file("ca.pem", by.cert), "-CAkey", file("ca-key.pem", by.key)]
    : ["-signkey", key];
  try {
    openssl("genpkey", ...kind, "-out", key);
    openssl("req", "-new", "-key", key, "-subj", subject, "-out", csr);
    openssl(
      ...["x509", "-req", "-in", csr, "-out", cert, ...issuer],
      ...["-days", String(days), "-set_serial", String(++serial)],
      ...["-extfile", file("extensions", extensions.join("\n"))],
    );
    return {
      cert: readFileSync(cert, "utf8"),
      key: readFileSync(key, "utf8"),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Without any extension, OpenSSL makes a certificate of version 1, which Deno refuses. */
const NO_AUTHORITY = "basicConstraints=CA:FALSE";

const CURVE = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

let serial = Date.now();

/** Runs the program `openssl`, and returns its output. */
export function openssl(...args: string[]): string {
  return execFileSync("openssl", args, { stdio: ["ignore", "pipe", "pipe"] })
    .toString();
}

/** The certificates that most tests use. */
export interface Certificates {
  readonly ca: Certificate;
  /** For `localhost`, `127.0.0.1` and `::1`. */
  readonly server: Certificate;
  /** For `other.test` alone. */
  readonly other: Certificate;
  /** The certificate of the client `alice`. */
  readonly alice: Certificate;
}

let made: Certificates | undefined;

/** Returns the certificates that most tests use. */
export function certificates(): Certificates {
  return made ??= makeAll();
}

function makeAll(): Certificates {
  const ca = issue({
    subject: "/CN=Test authority",
    extensions: ["basicConstraints=critical,CA:TRUE"],
  });
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1";
  const own = (name: string) => `subjectAltName=DNS:${name}`;
  return {
    ca,
    server: issue({ subject: "/CN=server", by: ca, extensions: [names] }),
    other: issue({
      subject: "/CN=other.test",
      by: ca,
      extensions: [own("other.test")],
    }),
    alice: issue({ subject: "/CN=alice", by: ca }),
  };
}

/** The SHA-256 of a certificate as the option `pin` takes it. */
export function fingerprint(pem: string): string {
  const der = pem.replace(/-----.*-----|\n/g, "");
  return createHash("sha256").update(der, "base64").digest("hex");
}
