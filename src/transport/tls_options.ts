/**
 * TLS as a transport offers it: the options of both sides, and the facts of a
 * connection.
 *
 * @module
 */

/** The certificate of a listener, and the clients that it accepts. All are texts in PEM. */
export interface TlsServerOptions {
  /** The certificate, followed by those of intermediate authorities if there are any. */
  readonly cert: string;
  /** The private key of the certificate, not encrypted. */
  readonly key: string;
  /**
   * Certificates of authorities. If set, each client needs a certificate that is issued
   * by one of them, valid, and has exactly one common name, which is the user's name.
   */
  readonly clientCa?: string;
}

/** How the server's certificate is checked, and the client's own one. All are texts in PEM. */
export interface TlsClientOptions {
  /**
   * The name or IP address that the server's certificate must have. It is also sent to
   * the server, unless it is an address (SNI, RFC 6066 section 3).
   */
  readonly serverName: string;
  /**
   * Certificates of the authorities that are trusted, instead of those that the runtime
   * comes with.
   */
  readonly ca?: string;
  /** The client's certificate, followed by those of intermediate authorities. */
  readonly cert?: string;
  /** The private key of `cert`, not encrypted. */
  readonly key?: string;
  /**
   * The SHA-256 fingerprint of the only certificate that is accepted, in hexadecimal with
   * or without colons. Then authorities, names and dates are not checked.
   */
  readonly fingerprint256?: string;
  /**
   * The application protocols to offer, in the order of preference (ALPN, RFC 7301), such as
   * `["h2", "http/1.1"]`. By default none.
   */
  readonly alpn?: readonly string[];
}

/** The facts of a connection whose TLS handshake is complete. */
export interface TlsFacts {
  /** The version: `TLSv1.2` or `TLSv1.3`. */
  readonly version: string;
  /** The common name of the client's verified certificate; only on the server's side. */
  readonly clientName?: string;
  /** The application protocol that both sides have agreed on (ALPN), if there is one. */
  readonly alpn?: string;
}
