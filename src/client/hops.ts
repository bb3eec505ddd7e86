/**
 * Chains of proxies.
 *
 * @module
 */

import { formatEndpoint } from "../protocol/address.ts";
import { SocksError, type SocksHop } from "./error.ts";
import type { ProxyConfig, ResolvedProxy } from "./proxy.ts";
import { resolveProxy } from "./resolve_proxy.ts";

/**
 * One proxy or several, each reached through those before it: a URL, an object, a list of
 * them, or a text of URLs with spaces between them. At most 16.
 */
export type Hops =
  | string
  | URL
  | ProxyConfig
  | readonly (string | URL | ProxyConfig)[];

const MOST = 16;

/**
 * The proxies of a chain, checked and with their defaults filled in; at least one. They
 * contain the credentials.
 *
 * @throws {TypeError} when there is none, there are more than 16, or one is invalid; the
 * message contains no password.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { parseHops } from "@x/socks5/client";
 *
 * const hops = parseHops("socks5h://al:pw@[::1] https://proxy.example");
 * assertEquals(hops.map((it) => it.port), [1080, 443]);
 * assertThrows(() => parseHops(""), TypeError);
 * ```
 */
export function parseHops(hops: Hops): readonly ResolvedProxy[] {
  const list = typeof hops === "string"
    ? hops.split(/\s+/).filter((it) => it !== "")
    : Array.isArray(hops)
    ? hops
    : [hops];
  if (list.length === 0) throw new TypeError("there is no proxy");
  if (list.length > MOST) {
    throw new TypeError(
      `a chain has at most ${MOST} proxies, not ${list.length}`,
    );
  }
  return list.map(resolveProxy);
}

/**
 * `HOSTNAME:PORT` of a proxy, without its credentials; an IPv6 address is in brackets.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { hopAddress, parseHops } from "@x/socks5/client";
 *
 * const [proxy] = parseHops("socks5h://al:pw@[::1]:9050");
 * assertEquals(hopAddress(proxy), "[::1]:9050");
 * ```
 */
export function hopAddress(
  proxy: Pick<ResolvedProxy, "hostname" | "port">,
): string {
  return formatEndpoint(proxy);
}

/**
 * The same error at one proxy of a chain, whose place counts from 1: with its
 * {@linkcode SocksError.hop}, and if there are several proxies, with a message that names it.
 */
export function errorAtHop(
  error: SocksError,
  number: number,
  hops: readonly Pick<ResolvedProxy, "hostname" | "port">[],
): SocksError {
  const { code, message, phase, reply, cause } = error;
  const hop: SocksHop = { number, address: hopAddress(hops[number - 1]) };
  const details = { phase, reply, cause, hop };
  if (hops.length === 1) return new SocksError(code, message, details);
  const where = `hop ${number} of ${hops.length} (${hop.address})`;
  // Not only if it says so: some proxies close the connection when a target refuses.
  const isBroken = phase === "request" && number < hops.length;
  const what = isBroken
    ? ` could not reach hop ${number + 1} (${hopAddress(hops[number])})`
    : "";
  return new SocksError(code, `${where}${what}: ${message}`, details);
}
