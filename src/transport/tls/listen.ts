/**
 * Listeners that speak TLS.
 *
 * @module
 */

import * as net from "node:net";
import * as tls from "node:tls";
import { NetError, TlsError, toNetError } from "../errors.ts";
import { addressOf } from "../common/listener_address.ts";
import { localPlace } from "../local_place.ts";
import { plainHostname } from "../socket.ts";
import type { TlsServerOptions } from "../tls_options.ts";
import type { Conn, Listener, ListenOptions } from "../transport.ts";
import { checkCertificates } from "./check_certificates.ts";
import { ClearConn } from "./clear_conn.ts";
import { commonName } from "./common_name.ts";
import { TlsConn } from "./conn.ts";
import { toTlsError } from "./tls_error.ts";

/** The certificates of a listener, ready for use. */
interface Credentials {
  readonly context: tls.SecureContext;
  readonly asksClient: boolean;
  /** The fingerprints of the client certificates that were verified against `clientCa`. */
  readonly verified: Set<string>;
}

/** Undocumented members of {@linkcode tls.TLSSocket}. */
interface Internals {
  readonly ssl?: { verifyError?(): Error | null };
}

/**
 * Listens as {@linkcode Transport.listen} does. The caller has checked that the runtime
 * supports `reusePort`, if that is set.
 */
export function listenTls(
  options: ListenOptions,
  first: TlsServerOptions,
  onConn: (conn: Conn) => void,
  onError?: (error: NetError) => void,
): Promise<Listener> {
  let credentials = load(first);
  const { startsInClear = false } = options;
  const secure = (raw: net.Socket) => accept(raw, credentials);
  const server = net.createServer(
    { allowHalfOpen: true, noDelay: true },
    (raw) => onConn(startsInClear ? new ClearConn(raw) : secure(raw)),
  );
  const { hostname, port, reusePort = false } = options;
  const where: net.ListenOptions & { reusePort?: boolean; fd?: number } = {
    ...localPlace(hostname) ?? { host: plainHostname(hostname), port },
    reusePort,
    exclusive: !reusePort, // otherwise a cluster worker shares its private ports as well
  };
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(toNetError(error)));
    server.listen(where, () => {
      server.removeAllListeners("error");
      server.on("error", (error) => onError?.(toNetError(error)));
      resolve({
        addr: addressOf(server),
        close() {
          server.close();
          return Promise.resolve();
        },
        setTls(next) {
          credentials = load(next);
        },
        ...startsInClear &&
          { startTls: (conn: Conn) => startTls(conn, secure) },
      });
    });
  });
}

function load(options: TlsServerOptions): Credentials {
  const { cert, key, clientCa: ca } = checkCertificates(options);
  const asksClient = ca !== undefined;
  try {
    const context = tls.createSecureContext({
      cert,
      key,
      ca,
      minVersion: "TLSv1.2",
      // A resumed session would skip the check of the client's certificate. Deno ignores
      // this, see `checkResumed()`.
      secureOptions: asksClient ? SSL_OP_NO_TICKET : undefined,
    });
    return { context, asksClient, verified: new Set() };
  } catch (error) {
    throw toNetError(error, "invalid");
  }
}

/** Implements {@linkcode Listener.startTls}. */
function startTls(conn: Conn, secure: (raw: net.Socket) => Conn): Conn {
  if (!ClearConn.isNative(conn)) {
    throw new NetError("invalid", "this connection cannot start TLS");
  }
  return conn.isOver ? conn : secure(conn.release());
}

/** Starts the handshake of a connection. */
function accept(raw: net.Socket, credentials: Credentials): Conn {
  const { context, asksClient, verified } = credentials;
  const options: tls.TLSSocketOptions & { allowHalfOpen: boolean } = {
    isServer: true,
    secureContext: context,
    requestCert: asksClient,
    rejectUnauthorized: asksClient,
    allowHalfOpen: true,
  };
  const socket = new tls.TLSSocket(raw, options);
  const conn = new TlsConn(socket, raw);
  socket.once("secure", () => {
    const version = socket.getProtocol() ?? "";
    if (!asksClient) return conn.secured({ version });
    try {
      conn.secured({ version, clientName: verifiedName(socket, verified) });
    } catch (error) {
      conn.fail(toTlsError(error));
    }
  });
  return conn;
}

/**
 * Returns the common name of the client's certificate. Throws unless the certificate was
 * verified: without a `tls.Server`, a socket accepts any.
 */
function verifiedName(socket: tls.TLSSocket, verified: Set<string>): string {
  const error = (socket as Internals).ssl?.verifyError?.() ??
    socket.authorizationError;
  if (error) throw error;
  const certificate = socket.getPeerCertificate();
  if (!certificate?.subject) {
    throw new TlsError("no-certificate", "the client has sent no certificate");
  }
  const name = commonName(certificate.subject);
  if (socket.isSessionReused()) checkResumed(certificate, verified);
  else verified.add(certificate.fingerprint256);
  return name;
}

/**
 * Checks the certificate of a resumed session, which no runtime verifies again. Deno resumes
 * sessions of any listener of the process, whatever authorities that one had, and long after
 * the certificate has expired.
 */
function checkResumed(
  { fingerprint256, valid_to }: tls.PeerCertificate,
  verified: ReadonlySet<string>,
): void {
  const isValid = verified.has(fingerprint256) &&
    Date.now() < +new Date(valid_to);
  if (isValid) return;
  throw new TlsError(
    "untrusted",
    "the client resumes a session whose certificate is no longer accepted",
  );
}

/** See SSL_CTX_set_options(3). */
const SSL_OP_NO_TICKET = 1 << 14;
