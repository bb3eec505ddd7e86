/**
 * The description of a proxy.
 *
 * @module
 */

/** A SOCKS protocol without TLS. */
export type PlainProtocol = "socks4" | "socks4a" | "socks5" | "socks5h";

/**
 * The protocol of a proxy, named as in curl. With `socks4` and `socks5` this
 * client resolves the names of targets, with `socks4a`, `socks5h` and `http` the
 * proxy does. `http` is HTTP CONNECT, which has neither BIND nor UDP, and `https` the same
 * inside TLS.
 *
 * A name that is resolved here becomes one address: the first that the protocol
 * can carry (`socks4` only IPv4, neither of them a zone). If the proxy cannot
 * reach that address, no other is tried. A proxy that resolves the name itself
 * may try all addresses.
 *
 * With `+tls` and `https` the protocol is inside TLS, and the proxy's certificate is checked,
 * see {@linkcode TlsOptions}. URLs may also have `socks5s:` for `socks5+tls:`, and so on.
 */
export type ProxyProtocol =
  | PlainProtocol
  | `${PlainProtocol}+tls`
  | "http"
  | "https";

/** A proxy server. */
export interface ProxyConfig {
  /** The protocol that it speaks. */
  readonly protocol: ProxyProtocol;
  /** Its name or IP address; names need not be ASCII (`proxy.münchen.example`). */
  readonly hostname: string;
  /** Its port. By default 1080, 80 with `http` and 443 with `https`, as in URLs. */
  readonly port?: number;
  /**
   * The user name, at most 255 bytes; with SOCKS4 the user id; with HTTP, where the
   * login is sent by Basic, without colons and of any length that fits in a request of
   * 16 KiB. If only one of user
   * name and password is given, the other one is sent empty, as curl does. An empty
   * string counts as given: leave both out for a proxy without a login.
   */
  readonly username?: string;
  /** The password, of the same length; SOCKS4 has none. */
  readonly password?: string;
}

/** Whether there is a login for the proxy, possibly an empty one. */
export function hasLogin({ username, password }: ProxyConfig): boolean {
  return username !== undefined || password !== undefined;
}

/** A {@linkcode ProxyConfig} that has been checked, with its defaults filled in. */
export interface ResolvedProxy extends ProxyConfig {
  /** Its port, 1 to 65535. */
  readonly port: number;
}

/** Whether a protocol is inside TLS. */
export function isOverTls(
  { protocol }: Pick<ResolvedProxy, "protocol">,
): boolean {
  return protocol.endsWith("+tls") || protocol === "https";
}

/** Whether a protocol is HTTP CONNECT. */
export function isHttp({ protocol }: Pick<ResolvedProxy, "protocol">): boolean {
  return protocol === "http" || protocol === "https";
}
