/**
 * Which proxy to use and how: as a URL or as an object.
 *
 * @module
 */

import { formatIp, parseIp, unmapIp } from "../protocol/address.ts";
import { isPort } from "../protocol/octets.ts";
import { encodeLogin } from "../protocol/password.ts";
import { COMMAND, encodeRequest } from "../protocol/socks4.ts";

/**
 * How to talk to a proxy, in curl's words: `socks4` and `socks5` resolve the
 * target's name here, `socks4a` and `socks5h` let the proxy resolve it.
 *
 * What is resolved here becomes one address, the first that the protocol can
 * carry (`socks4` only IPv4, none of them a zone); when the proxy can't reach
 * that one, no other is tried. A proxy that resolves the name may try them all.
 */
export type ProxyProtocol = "socks4" | "socks4a" | "socks5" | "socks5h";

/** A proxy server. */
export interface ProxyConfig {
  /** How to talk to it. */
  readonly protocol: ProxyProtocol;
  /** Its name or IP address. */
  readonly hostname: string;
  /** Its port. @default {1080} */
  readonly port?: number;
  /** User name, 1 to 255 octets; with SOCKS4 the user id. */
  readonly username?: string;
  /** Password, 1 to 255 octets; SOCKS4 has none. */
  readonly password?: string;
}

/** A proxy whose port is known. */
export type ResolvedProxy = ProxyConfig & { readonly port: number };

const DEFAULT_PORT = 1080;
const PROTOCOLS: readonly string[] = ["socks4", "socks4a", "socks5", "socks5h"];

/**
 * Reads `socks5://user:password@hostname:port` and its sisters. Credentials are
 * percent-decoded, brackets around IPv6 taken off, the port defaults to 1080.
 *
 * @throws {TypeError} when it is no such URL; what it says shows no password.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseProxyUrl("socks5h://al:p%40ss@[::1]:9050"), {
 *   protocol: "socks5h",
 *   hostname: "::1",
 *   port: 9050,
 *   username: "al",
 *   password: "p@ss",
 * });
 * ```
 */
export function parseProxyUrl(url: string | URL): ProxyConfig {
  const parsed = parseUrl(url);
  const protocol = parsed.protocol.slice(0, -1);
  if (!isProtocol(protocol)) {
    throw new TypeError(
      `a proxy URL begins with ${
        PROTOCOLS.join(":, ")
      }: – not ${parsed.protocol}`,
    );
  }
  const { pathname, search, hash } = parsed;
  if (!parsed.hostname || !["", "/"].includes(pathname + search + hash)) {
    throw new TypeError(
      `a proxy URL is ${protocol}://hostname:port and no more`,
    );
  }
  return {
    protocol,
    hostname: plainName(decode(parsed.hostname)),
    port: parsed.port === "" ? DEFAULT_PORT : Number(parsed.port),
    ...(parsed.username && { username: decode(parsed.username) }),
    ...(parsed.password && { password: decode(parsed.password) }),
  };
}

/** The runtimes' own errors show all of the URL, the password with it. */
function parseUrl(url: string | URL): URL {
  try {
    return new URL(url);
  } catch {
    throw new TypeError("a proxy URL is socks5://hostname:port or the like");
  }
}

/** A proxy with its port, checked, from whatever form it was given in. */
export function resolveProxy(proxy: string | URL | ProxyConfig): ResolvedProxy {
  const given = typeof proxy === "string" || proxy instanceof URL
    ? parseProxyUrl(proxy)
    : proxy;
  const { protocol, port = DEFAULT_PORT } = given;
  if (!isProtocol(protocol)) {
    throw new TypeError(`protocol must be one of ${PROTOCOLS.join(", ")}`);
  }
  if (!given.hostname) throw new TypeError("a proxy needs a hostname");
  if (!isPort(port) || port === 0) {
    throw new TypeError(`port must be an integer from 1 to 65535, not ${port}`);
  }
  checkLogin(given);
  return { ...given, hostname: plainName(given.hostname), port };
}

/** Throws a TypeError for what no message can carry. */
function checkLogin(proxy: ProxyConfig): void {
  const { username = "", password = "" } = proxy;
  if (isSocks4(proxy)) {
    const anywhere = { hostname: "0.0.0.0", port: 0 };
    encodeRequest({ command: COMMAND.connect, ...anywhere, userId: username });
  } else if (!username !== !password) {
    throw new TypeError("a SOCKS5 login needs both username and password");
  } else if (username) encodeLogin({ username, password });
}

/** Whether it speaks version 4. */
export function isSocks4({ protocol }: ProxyConfig): boolean {
  return protocol === "socks4" || protocol === "socks4a";
}

/** Whether the proxy gets names as they are, and resolves them. */
export function resolvesNames({ protocol }: ProxyConfig): boolean {
  return protocol === "socks4a" || protocol === "socks5h";
}

/** An IPv6 address without its brackets and written as sockets write it, an IPv4-mapped one as IPv4; anything else as it is. */
export function plainName(hostname: string): string {
  const ip = parseIp(hostname.replace(/^\[(.*)\]$/, "$1"));
  return ip?.length === 16 ? unmapIp(formatIp(ip)) : hostname;
}

function isProtocol(text: string): text is ProxyProtocol {
  return PROTOCOLS.includes(text);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError("a proxy URL has a broken percent-encoding");
  }
}
