/**
 * Checking the description of a proxy.
 *
 * @module
 */

import { isPort, showPort } from "../protocol/octets.ts";
import { checkKeys } from "../transport/check_keys.ts";
import { dialectNamed, PROTOCOLS } from "./dialects.ts";
import { plainHostname } from "./plain_hostname.ts";
import type { ProxyConfig, ResolvedProxy } from "./proxy.ts";
import { defaultPort, parseProxyUrl } from "./proxy_url.ts";

/**
 * A checked proxy with its defaults filled in, given either form.
 *
 * @throws {TypeError} when no connection or message can be made for it.
 */
export function resolveProxy(proxy: string | URL | ProxyConfig): ResolvedProxy {
  if (RESOLVED.has(proxy as ResolvedProxy)) return proxy as ResolvedProxy;
  const given = typeof proxy === "string" || proxy instanceof URL
    ? parseProxyUrl(proxy)
    : checkedConfig(proxy);
  const { username, password } = given;
  const { port = defaultPort(given.protocol) } = given;
  const dialect = dialectNamed(String(given.protocol));
  if (!dialect) {
    throw new TypeError(`protocol must be one of ${PROTOCOLS.join(", ")}`);
  }
  if (typeof given.hostname !== "string" || !given.hostname) {
    throw new TypeError("a proxy needs a hostname");
  }
  if (!isPort(port) || port === 0) {
    throw new TypeError(
      `port must be an integer from 1 to 65535, not ${showPort(port)}`,
    );
  }
  dialect.checkLogin(given);
  const hostname = plainHostname(given.hostname);
  // Not a copy: the members may be getters, as those of a SocksProxy are.
  const resolved = Object.freeze({
    protocol: dialect.protocol,
    hostname,
    port,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  });
  RESOLVED.add(resolved);
  return resolved;
}

/** What this module has returned, so that a proxy of many connections is checked once. */
const RESOLVED = new WeakSet<ResolvedProxy>();

const KEYS = ["protocol", "hostname", "port", "username", "password"];

function checkedConfig(proxy: ProxyConfig): ProxyConfig {
  if (typeof proxy !== "object" || proxy === null) {
    throw new TypeError(
      `a proxy is "socks5h://hostname:port" or { protocol, hostname, port }, not ${proxy}`,
    );
  }
  checkKeys(proxy, KEYS, "the proxy");
  return proxy;
}
