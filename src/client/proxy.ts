/**
 * The description of a proxy.
 *
 * @module
 */

/**
 * The protocol of a proxy, named as in curl. With `socks4` and `socks5` this
 * client resolves the names of targets, with `socks4a` and `socks5h` the proxy
 * does.
 *
 * A name that is resolved here becomes one address: the first that the protocol
 * can carry (`socks4` only IPv4, neither of them a zone). If the proxy cannot
 * reach that address, no other is tried. A proxy that resolves the name itself
 * may try all addresses.
 */
export type ProxyProtocol = "socks4" | "socks4a" | "socks5" | "socks5h";

/** A proxy server. */
export interface ProxyConfig {
  /** The protocol that it speaks. */
  readonly protocol: ProxyProtocol;
  /** Its name or IP address. */
  readonly hostname: string;
  /** Its port. @default {1080} */
  readonly port?: number;
  /** The user name, 1 to 255 bytes; with SOCKS4 the user id. */
  readonly username?: string;
  /** The password, 1 to 255 bytes; SOCKS4 has none. */
  readonly password?: string;
}

/** A {@linkcode ProxyConfig} that has been checked, with its defaults filled in. */
export interface ResolvedProxy extends ProxyConfig {
  /** Its port, 1 to 65535. */
  readonly port: number;
}
