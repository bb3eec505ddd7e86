/**
 * The results of a check.
 *
 * @module
 */

/** The name of a single check, as `--json` and `--require` have it. */
export type CheckName =
  | "reach"
  | "tls"
  | "socks5"
  | "login"
  | "wrong-login"
  | "login-required"
  | "connect-ipv4"
  | "connect-ipv6"
  | "connect-name"
  | "half-close"
  | "bind"
  | "udp"
  | "udp-fragments"
  | "resolve"
  | "reverse"
  | "socks4"
  | "socks4a"
  | "http";

/** A check as the table shows it. */
export interface CheckTitle {
  readonly name: CheckName;
  /** A statement, which the result confirms or denies. */
  readonly title: string;
}

/** All checks in the order in which they run. */
export const CHECKS: readonly CheckTitle[] = [
  { name: "reach", title: "can be reached" },
  { name: "tls", title: "speaks TLS" },
  { name: "socks5", title: "speaks SOCKS5" },
  { name: "login", title: "accepts the login" },
  { name: "wrong-login", title: "refuses a wrong password" },
  { name: "login-required", title: "requires a login" },
  { name: "connect-ipv4", title: "CONNECT to IPv4" },
  { name: "connect-ipv6", title: "CONNECT to IPv6" },
  { name: "connect-name", title: "CONNECT to a name" },
  { name: "half-close", title: "passes half-close on" },
  { name: "bind", title: "BIND" },
  { name: "udp", title: "UDP ASSOCIATE" },
  { name: "udp-fragments", title: "UDP in fragments" },
  { name: "resolve", title: "RESOLVE" },
  { name: "reverse", title: "RESOLVE_PTR" },
  { name: "socks4", title: "speaks SOCKS4" },
  { name: "socks4a", title: "speaks SOCKS4a" },
  { name: "http", title: "speaks HTTP CONNECT" },
];

/** The result of a single check. */
export interface CheckResult {
  /** Which check it is. */
  readonly name: CheckName;
  /** `skipped` if the proxy was not asked; `detail` says why. */
  readonly outcome: "yes" | "no" | "skipped";
  /**
   * Milliseconds from the first packet to the proxy's reply, the connection to the proxy
   * included.
   */
  readonly time?: number;
  /** More about it, in a few words. */
  readonly detail?: string;
  /** The code of the `SocksError` of an operation that failed. */
  readonly code?: string;
  /** The reply of a proxy that refused, as in `SocksError.reply`. */
  readonly reply?: number;
}

/** The behaviour of a proxy, and the verdict on it. */
export interface CheckReport {
  /** The URLs of the proxies without their logins; the last one was checked. */
  readonly proxies: readonly string[];
  /** Whether the proxy was reached otherwise than by the loopback interface. */
  readonly isExposed: boolean;
  /** Whether it is exposed, and lets clients without a login connect to targets. */
  readonly isOpen: boolean;
  /** Whether CONNECT works as the URL says, with its login. */
  readonly ok: boolean;
  /** One for each check, in the order of {@linkcode CheckName}. */
  readonly results: readonly CheckResult[];
  /** Dangers, in sentences. */
  readonly warnings: readonly string[];
  /** Advice on failures, in sentences. */
  readonly advice: readonly string[];
}
