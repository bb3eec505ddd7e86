/**
 * What a proxy is asked about: whom to reach, as the proxy is to be told it.
 *
 * @module
 */

import {
  encodeAddress,
  type Endpoint,
  isIp,
  parseEndpoint,
} from "../protocol/address.ts";
import { plainName, type ProxyConfig, resolvesNames } from "./proxy.ts";
import { SocksError, type SocksPhase } from "./error.ts";

/**
 * A target that a message can carry, from either form it is given in.
 *
 * @throws {TypeError} when it can't, or when a text has no port and there is no
 * `defaultPort`.
 */
export function parseTarget(
  target: string | Endpoint,
  defaultPort?: number,
): Endpoint {
  const { hostname, port } = typeof target === "string"
    ? parseEndpoint(target, defaultPort)
    : target;
  const wanted = { hostname: plainName(hostname), port };
  encodeAddress(wanted); // throws a TypeError when it can't
  return wanted;
}

/**
 * The target as the proxy is to get it: as it is, or resolved here.
 *
 * @throws {SocksError} as {@linkcode pickAddress} does.
 */
export async function resolveTarget(
  proxy: ProxyConfig,
  target: Endpoint,
  lookup: (hostname: string) => Promise<string[]>,
): Promise<Endpoint> {
  const { hostname, port } = target;
  if (resolvesNames(proxy)) return target;
  const found = isIp(hostname) ? [hostname] : await lookup(hostname);
  return { hostname: pickAddress(proxy, hostname, found, "request"), port };
}

/**
 * The first of a name's addresses that the protocol can carry.
 *
 * @throws {SocksError} `"address-type"` when there is none: SOCKS4 has no IPv6,
 * and neither has zones.
 */
export function pickAddress(
  { protocol }: ProxyConfig,
  hostname: string,
  found: readonly string[],
  phase: SocksPhase,
): string {
  const isOld = protocol === "socks4";
  const fitting = found.find((it) => isOld ? isIp(it) === 4 : isIp(it));
  if (fitting) return fitting;
  const what = isOld
    ? `the IPv6 address of ${hostname}; use socks4a: or socks5:`
    : `the zone of ${found[0]}, the address of ${hostname}; use socks5h:`;
  const message = `${protocol}: can't carry ${what}`;
  throw new SocksError("address-type", message, { phase });
}
