/**
 * The options that all commands of the client share.
 *
 * @module
 */

import { checkKeys } from "../transport/check_keys.ts";
import type { ConnSource } from "../transport/streams.ts";
import type { Transport } from "../transport/transport.ts";
import type { TlsClientOptions } from "../transport/tls_options.ts";
import type { ClientAuth } from "./auth.ts";
import { closeGivenConn } from "./given_conn.ts";

/** TLS to a proxy, for protocols such as `socks5+tls`. All certificates and keys are in PEM. */
export interface TlsOptions extends Partial<Omit<TlsClientOptions, "alpn">> {
  /**
   * The name or IP address that the proxy's certificate must have. By default the
   * hostname of the proxy.
   */
  readonly serverName?: string;
  /**
   * Whether `udpAssociate()` may be used: the request is encrypted then, but the
   * datagrams are not. Otherwise it rejects with code `unsupported`.
   *
   * @default {false}
   */
  readonly plainDatagrams?: boolean;
}

/** TLS to a target. All certificates and keys are in PEM. */
export interface TargetTlsOptions extends Partial<TlsClientOptions> {
  /**
   * The name or IP address that the target's certificate must have. By default the
   * hostname of the target.
   */
  readonly serverName?: string;
}

/** Options of {@linkcode socks}: the defaults of everything done through the proxy. */
export interface ProxyOptions {
  /**
   * Ends the attempt in any phase; the rejection's code is `aborted`, or `timeout`
   * for `AbortSignal.timeout()`.
   */
  readonly signal?: AbortSignal;
  /**
   * Milliseconds from the call to the proxy's reply, not negative; 0 means no
   * limit.
   *
   * @default {30_000}
   */
  readonly timeout?: number;
  /**
   * The authentication methods to offer, in the order of preference. By default
   * {@linkcode anonymous} and, if the proxy has a login,
   * {@linkcode passwordLogin}. SOCKS4 has no methods: a proxy with `socks4:` or
   * `socks4a:` is used only if {@linkcode anonymous} is among them. An `http:` proxy is
   * used if one of the two is, and gets the login if {@linkcode passwordLogin} is.
   */
  readonly auth?: readonly ClientAuth[];
  /**
   * How the certificate of a proxy with a protocol such as `socks5+tls` is checked, and the
   * client's own certificate. By default the authorities that the runtime comes with are
   * trusted, and the certificate must be for the proxy's hostname.
   */
  readonly tls?: TlsOptions;
  /** The network to use. By default that of the runtime. */
  readonly transport?: Transport;
}

/** Options of one command through a proxy. */
export interface ClientOptions extends ProxyOptions {
  /**
   * An existing connection to the proxy, for example one through another proxy or
   * inside TLS. The proxy's port is then not used, and its hostname only where the
   * proxy reports that it listens on all its addresses. The connection is closed
   * when the attempt fails, also because of invalid arguments. For a protocol such as
   * `socks5+tls`, TLS is started over it, unless it speaks TLS itself, see
   * {@linkcode Conn.tls}: a tunnel through another proxy with TLS does not. If it does, its
   * handshake is complete, so that the only option of {@linkcode TlsOptions} beside it is
   * `plainDatagrams`.
   */
  readonly conn?: ConnSource;
}

/** Options of {@linkcode connect}. */
export interface ClientConnectOptions extends ClientOptions {
  /**
   * Whether the connection speaks TLS to the target, inside the tunnel, and how the target's
   * certificate is checked: by default, or with `true`, it must be for the target's hostname,
   * and the authorities that the runtime comes with are trusted.
   *
   * @default {false}
   */
  readonly targetTls?: boolean | TargetTlsOptions;
}

/** The keys of {@linkcode ProxyOptions}. */
export const PROXY_KEYS: readonly string[] = [
  "signal",
  "timeout",
  "auth",
  "tls",
  "transport",
];

/**
 * The keys of {@linkcode ClientOptions}, and the additional one of the server's
 * `DialContext`: a proxy is also a `dial` option for `serve()`.
 */
export const CLIENT_KEYS: readonly string[] = [
  ...PROXY_KEYS,
  "conn",
  "session",
];

/** The keys of {@linkcode ClientConnectOptions}. */
export const CONNECT_KEYS: readonly string[] = [...CLIENT_KEYS, "targetTls"];

/**
 * Checks that the options of a command have no unknown keys; `name` is the command.
 *
 * @throws {TypeError} for the first unknown key, after closing the given connection.
 */
export function checkOptions(
  options: ClientOptions,
  known: readonly string[],
  name: string,
): void {
  try {
    checkKeys(options, known, `the options of ${name}()`);
  } catch (error) {
    closeGivenConn((options as ClientOptions | null)?.conn);
    throw error;
  }
}

/** The default of {@linkcode ProxyOptions.timeout}. */
export const DEFAULT_TIMEOUT = 30_000;

/** Throws a TypeError for anything but a signal, such as an `AbortController`. */
export function checkSignal(signal: AbortSignal): void {
  if (typeof signal.addEventListener === "function") return;
  throw new TypeError("signal must be an AbortSignal");
}

/**
 * Throws a TypeError for an invalid timeout. Fractions are valid: the rest of a
 * deadline is seldom a whole number.
 */
export function checkTimeout(timeout: number): void {
  if (typeof timeout === "number" && timeout >= 0) return;
  throw new TypeError(
    `timeout must be a number of milliseconds, 0 or more, not ${timeout}`,
  );
}
