/**
 * The proxy that environment variables name.
 *
 * @module
 */

import { canonicalHostname } from "../protocol/address.ts";
import { isExcluded } from "./no_proxy.ts";
import { parseProxyUrl } from "./proxy_url.ts";

/** The variables of a scheme, in the order in which they are asked. */
const VARIABLES: ReadonlyMap<string, readonly string[]> = new Map([
  // In capitals, CGI has it as a field of the client's request (httpoxy.org).
  ["http", ["http_proxy"]],
  ["ws", ["ws_proxy", "WS_PROXY", "http_proxy"]],
  ["wss", ["wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY"]],
]);

const PORTS: ReadonlyMap<string, number> = new Map([
  ["http", 80],
  ["https", 443],
  ["ws", 80],
  ["wss", 443],
  ["ftp", 21],
]);

/** The port that curl assumes for a proxy whose URL has none, also of HTTP. */
const CURLS_PORT = 1080;

/**
 * Returns the proxy that environment variables name for a URL, or `undefined` if the
 * connection is to be direct. The variables are read as curl reads them:
 *
 * - `https_proxy` or `HTTPS_PROXY` for `https:`, and the same for any other scheme; but
 *   for `http:` only `http_proxy`, because a CGI program gets `HTTP_PROXY` from its
 *   client. `ws:` and `wss:` fall back to those of `http:` and `https:`.
 * - `all_proxy` or `ALL_PROXY` if there is none. An empty variable is none.
 * - `no_proxy` or `NO_PROXY`: targets without a proxy, separated by commas or spaces. A
 *   domain includes those below it; an IP address may have a prefix length
 *   (`10.0.0.0/8`), any entry a port (`example.com:8080`, which curl does not have); `*`
 *   alone is everything. No name is resolved for it.
 *
 * The URL of a proxy may lack its scheme, which is then `http:`, and its port, which is
 * then 1080. `socks:` means `socks5h:`, as everywhere in this library; for curl it is
 * `socks4:`.
 *
 * @param env The variables: `process.env`, or `Deno.env.toObject()`.
 * @param url The URL to be requested; for other connections one of any scheme, such as
 * `tcp://example.com:5432`.
 *
 * @throws {TypeError} when the variable is no URL of a proxy, or an argument is invalid:
 * a misspelt proxy never means a direct connection. The message contains no password.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { proxyFromEnv } from "@x/socks5/client";
 *
 * const env = {
 *   ALL_PROXY: "socks5h://127.0.0.1:9050",
 *   https_proxy: "proxy.example:3128",
 *   NO_PROXY: "localhost,.internal.example,10.0.0.0/8",
 * };
 * const target = "https://example.com/path";
 * assertEquals(proxyFromEnv(env, target), "http://proxy.example:3128");
 * assertEquals(proxyFromEnv(env, "http://example.com"), "socks5h://127.0.0.1:9050");
 * assertEquals(proxyFromEnv(env, "http://a.internal.example"), undefined);
 * assertThrows(() => proxyFromEnv({ all_proxy: "sock5://h" }, target), TypeError);
 * ```
 *
 * @example For {@linkcode connect}
 * ```ts
 * import { connect, proxyFromEnv } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using server = await serve({ port: 0 });
 * const { hostname, port } = server.addr;
 *
 * const env = { ALL_PROXY: `socks5h://127.0.0.1:${port}` }; // process.env
 * const proxy = proxyFromEnv(env, `tcp://${hostname}:${port}`);
 * if (proxy) {
 *   await using conn = await connect(proxy, { hostname, port });
 *   console.log(conn.remoteAddr.port === port); // true
 * }
 * ```
 */
export function proxyFromEnv(
  env: Readonly<Record<string, string | undefined>>,
  url: string | URL,
): string | undefined {
  checkEnv(env);
  const { scheme, hostname, port } = targetOf(url);
  const noProxy = env.no_proxy || env.NO_PROXY;
  if (noProxy && isExcluded(noProxy, { hostname, port })) return undefined;
  const variables = VARIABLES.get(scheme) ??
    [`${scheme}_proxy`, `${scheme.toUpperCase()}_PROXY`];
  for (const name of [...variables, "all_proxy", "ALL_PROXY"]) {
    const value = env[name];
    if (value) return proxyUrl(name, value);
  }
  return undefined;
}

/** `Deno.env` has no variable as a member: everything would seem to be direct. */
function checkEnv(env: unknown): void {
  const isObject = typeof env === "object" && env !== null;
  if (isObject && typeof (env as { get?: unknown }).get !== "function") return;
  throw new TypeError(
    "env must be an object of variables, such as process.env or Deno.env.toObject()",
  );
}

function targetOf(url: string | URL) {
  let parsed: URL | undefined;
  try {
    parsed = new URL(url);
  } catch {
    // Reported below; the error of the runtime contains the URL with its login.
  }
  if (!parsed?.hostname) {
    throw new TypeError("url must be a URL with a hostname");
  }
  const scheme = parsed.protocol.slice(0, -1);
  const bare = parsed.hostname.replace(/^\[(.*)\]$/, "$1");
  const hostname = canonicalHostname(bare) ?? bare;
  const port = Number(parsed.port) || PORTS.get(scheme) || 0;
  return { scheme, hostname, port };
}

function proxyUrl(name: string, value: string): string {
  const url = /^[a-z][a-z\d+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  try {
    parseProxyUrl(url);
  } catch (error) {
    throw new TypeError(`${name}: ${(error as Error).message}`);
  }
  return withPort(url);
}

/** The scheme, a login, the host and its port, which must not be empty. */
const AUTHORITY = /^(http:\/\/(?:[^/?#]*@)?(?:\[[^\]]*\]|[^/?#:@]*)):?(\/?)$/i;

/** Adds the port to an HTTP proxy without one: a `URL` would have another default. */
function withPort(url: string): string {
  return url.replace(AUTHORITY, `$1:${CURLS_PORT}$2`);
}
