/**
 * Proxies as URLs.
 *
 * @module
 */

import { dialectNamed, PROTOCOLS } from "./dialects.ts";
import { plainHostname } from "./plain_hostname.ts";
import type { ProxyConfig } from "./proxy.ts";

/**
 * The port of a proxy whose URL names none (IANA's registry). Of `http:` it has to be 80:
 * a `URL` does not distinguish `http://hostname` from `http://hostname:80`.
 */
export function defaultPort(protocol: string): number {
  return protocol === "http" ? 80 : protocol === "https" ? 443 : 1080;
}

/**
 * The scheme without a version, as desktops and other programs write it. The proxy
 * resolves the names then, so that none is looked up in the local network.
 */
const ANY_SOCKS = "socks";

/**
 * Parses `socks5://user:password@hostname:port`, with any
 * {@linkcode ProxyConfig.protocol} as its scheme, or `socks:`, which means
 * `socks5h:`, or a name such as `socks5s:`, which means `socks5+tls:`. Credentials are
 * percent-decoded, brackets around IPv6 addresses removed; the default port is 1080,
 * 80 of `http:` and 443 of `https:`.
 *
 * @throws {TypeError} when the text is not such a URL; the message contains no password.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseProxyUrl } from "@x/socks5/client";
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
  const scheme = parsed.protocol.slice(0, -1);
  const protocol = scheme === ANY_SOCKS
    ? "socks5h"
    : dialectNamed(scheme)?.protocol;
  if (!protocol) {
    const schemes = PROTOCOLS.join(":, ");
    throw new TypeError(
      `a proxy URL begins with one of ${schemes}:, not with ${parsed.protocol}`,
    );
  }
  const { pathname, search, hash } = parsed;
  if (!parsed.hostname || !["", "/"].includes(pathname + search + hash)) {
    throw new TypeError(
      `a proxy URL has no path, query or fragment: ${protocol}://hostname:port`,
    );
  }
  return {
    protocol,
    hostname: plainHostname(decode(parsed.hostname)),
    port: parsed.port === "" ? defaultPort(protocol) : Number(parsed.port),
    ...(parsed.username && { username: decode(parsed.username) }),
    ...(parsed.password && { password: decode(parsed.password) }),
  };
}

/** The errors of the runtimes contain the whole URL, password included. */
function parseUrl(url: string | URL): URL {
  try {
    return new URL(url);
  } catch {
    throw new TypeError(
      "the proxy is not a URL such as socks5://hostname:port",
    );
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError("a proxy URL has a broken percent-encoding");
  }
}
