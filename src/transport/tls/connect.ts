/**
 * Connections to servers that speak TLS.
 *
 * @module
 */

import * as net from "node:net";
import * as tls from "node:tls";
import { checkPort } from "../common/checks.ts";
import { abortError, TlsError, toConnectError, toNetError } from "../errors.ts";
import { plainHostname } from "../socket.ts";
import type { AbortSignalLike } from "../signal.ts";
import type { TlsClientOptions, TlsFacts } from "../tls_options.ts";
import type { Conn, ConnectOptions } from "../transport.ts";
import { type Certificates, checkCertificates } from "./check_certificates.ts";
import { TlsConn } from "./conn.ts";
import { ConnStream } from "./conn_stream.ts";
import { toTlsError } from "./tls_error.ts";

/** Connects as {@linkcode Transport.connect} does, and resolves after the handshake. */
export async function connectTls(
  options: ConnectOptions,
  how: TlsClientOptions,
): Promise<Conn> {
  const { port, localAddress, signal } = options;
  checkPort(port);
  if (signal?.aborted) throw abortError(signal);
  const checked = { ...how, ...checkTexts(how) };
  const host = plainHostname(options.hostname);
  const raw = net.connect({
    host,
    port,
    localAddress,
    noDelay: true,
    allowHalfOpen: true,
    autoSelectFamily: false,
  });
  return await unlessAborted(raw, signal, async () => {
    await connected(raw);
    return await secured(raw, checked, { hostname: host, port });
  });
}

/**
 * Starts TLS over a connection, which it takes over, and resolves after the handshake. Closes
 * the connection if that fails.
 */
export async function tlsOver(
  conn: Conn,
  how: TlsClientOptions,
  signal?: AbortSignalLike,
): Promise<Conn> {
  const raw = new ConnStream(conn);
  return await unlessAborted(raw, signal, () => {
    const checked = { ...how, ...checkTexts(how) };
    return secured(raw, checked, conn.remoteAddr);
  });
}

type Raw = net.Socket | ConnStream;

/** Settles as the call does, or rejects when the signal fires; destroys the stream then. */
async function unlessAborted(
  raw: Raw,
  signal: AbortSignalLike | undefined,
  call: () => Promise<Conn>,
): Promise<Conn> {
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) =>
    abort = () => reject(abortError(signal!))
  );
  signal?.addEventListener("abort", abort);
  try {
    if (signal?.aborted) abort();
    return await Promise.race([aborted, call()]);
  } catch (error) {
    raw.destroy();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/**
 * Returns the certificates alone, and rejects texts that are none: Deno would ignore them,
 * and connect without.
 */
export function checkTexts({ ca, cert, key }: TlsClientOptions): Certificates {
  try {
    return checkCertificates({ ca, cert, key });
  } catch (error) {
    throw new TlsError("handshake", `tls.${(error as Error).message}`, error);
  }
}

function connected(raw: net.Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    raw.once("connect", resolve);
    raw.once("error", (error) => reject(toConnectError(error)));
  });
}

function secured(
  raw: Raw,
  how: TlsClientOptions,
  remote: Conn["remoteAddr"],
): Promise<Conn> {
  const { fingerprint256: pin } = how;
  return new Promise((resolve, reject) => {
    const socket = start(raw, how);
    const conn = new TlsConn(socket, raw, remote);
    socket.once("error", (error) => reject(handshakeError(error)));
    socket.once("close", () => reject(handshakeError()));
    socket.once("secureConnect", () => {
      if (pin !== undefined && !isPinned(socket, pin)) {
        conn.reset();
        return reject(notPinned());
      }
      conn.secured(factsOf(socket));
      resolve(conn);
    });
  });
}

function factsOf(socket: tls.TLSSocket): TlsFacts {
  const { alpnProtocol } = socket;
  return {
    version: socket.getProtocol() ?? "",
    ...alpnProtocol && { alpn: alpnProtocol },
  };
}

/** Starts TLS over an open stream. */
export function start(
  raw: Raw,
  { serverName, ca, cert, key, fingerprint256, alpn }: TlsClientOptions,
): tls.TLSSocket {
  const isAddress = net.isIP(serverName) !== 0;
  const options: tls.ConnectionOptions & { allowHalfOpen: boolean } = {
    socket: raw,
    ...isAddress ? { host: serverName } : { servername: serverName },
    ca,
    cert,
    key,
    ...alpn && { ALPNProtocols: [...alpn] },
    minVersion: "TLSv1.2",
    allowHalfOpen: true,
    rejectUnauthorized: fingerprint256 === undefined,
  };
  try {
    return tls.connect(options);
  } catch (error) {
    throw toNetError(error, "invalid");
  }
}

/** Whether the certificate of a completed handshake has this fingerprint. */
export function isPinned(socket: tls.TLSSocket, pin: string): boolean {
  const { fingerprint256 = "" } = socket.getPeerCertificate();
  return plainFingerprint(fingerprint256) === plainFingerprint(pin);
}

function plainFingerprint(text: string): string {
  return text.replaceAll(":", "").toLowerCase();
}

/** The error for another certificate. */
export function notPinned(): TlsError {
  return new TlsError("pin", "the certificate is not the pinned one");
}

/** The error for a failure before the end of the handshake. */
export function handshakeError(cause?: Error): TlsError {
  const error = cause && toTlsError(cause);
  if (error instanceof TlsError) return error;
  const message = "the server closed the connection during the TLS handshake";
  return new TlsError("handshake", message, cause);
}
