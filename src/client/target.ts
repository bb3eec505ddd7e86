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
import { plainName, type Proxy, resolvesNames } from "./proxy.ts";
import { SocksError } from "./error.ts";

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
 * @throws {SocksError} `"address-type"` when only IPv6 is left and SOCKS4 can't
 * carry it.
 */
export async function resolveTarget(
  proxy: Proxy,
  target: Endpoint,
  lookup: (hostname: string) => Promise<string[]>,
): Promise<Endpoint> {
  const { hostname, port } = target;
  if (resolvesNames(proxy) || isIp(hostname) === 4) return target;
  const onlyIPv4 = proxy.protocol === "socks4";
  if (isIp(hostname) && !onlyIPv4) return target;
  const found = isIp(hostname) ? [hostname] : await lookup(hostname);
  const fitting = found.find((it) => !onlyIPv4 || isIp(it) === 4);
  if (fitting) return { hostname: fitting, port };
  throw new SocksError(
    "address-type",
    `socks4: can't carry the IPv6 address of ${hostname}; use socks4a: or socks5:`,
    { phase: "request" },
  );
}
