/**
 * Errors of `node:tls`, the same on every runtime.
 *
 * @module
 */

import {
  type NetError,
  TlsError,
  type TlsProblem,
  toNetError,
  toStreamError,
} from "../errors.ts";
import type { TlsFacts } from "../tls_options.ts";

/**
 * Returns the error for a failure of a connection. Until the handshake is complete, that
 * is a {@linkcode TlsError}, and later as well for the peer's refusal of a certificate:
 * with TLS 1.3 it comes after the handshake of the client (RFC 8446 section 4.4.2.4).
 */
export function toTlsError(error: unknown, facts?: TlsFacts): NetError {
  const { code = "", message = "" } = (error ?? {}) as Partial<
    Record<"code" | "message", string>
  >;
  const text = `${code} ${message}`;
  const problem = PROBLEMS.find(([, pattern]) => pattern.test(text))?.[0];
  if (problem === "refused") return tlsError(problem, message, error);
  if (facts) return toStreamError(error);
  const net = toNetError(error);
  if (!problem && net.kind !== "other") return net;
  return tlsError(problem ?? "handshake", message, error);
}

function tlsError(
  problem: TlsProblem,
  message: string,
  error: unknown,
): TlsError {
  return new TlsError(problem, `${TEXT[problem]}: ${message}`, error);
}

const TEXT: Readonly<Record<TlsProblem, string>> = {
  name: "the certificate is for another name",
  untrusted: "the certificate is not trusted",
  pin: "the certificate is not the pinned one",
  refused: "the peer refuses the certificate, or requires one",
  "no-certificate": "the client has sent no certificate",
  handshake: "the TLS handshake failed",
};

/** The first pattern that matches the code and the message decides. */
const PROBLEMS: readonly (readonly [TlsProblem, RegExp])[] = [
  ["no-certificate", /peer did not return a certificate/i],
  ["name", /ALTNAME_INVALID|does not match certificate's altnames/i],
  [
    "refused",
    /ALERT_(\w*CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)|alert .*(certificate|unknown ca|access denied)/i,
  ],
  [
    "untrusted",
    /^(UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|CERT_|INVALID_|CRL_)|certificate/,
  ],
];
