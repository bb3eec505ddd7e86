/**
 * The way that the connections of a program take, as its environment has it.
 *
 * @module
 */

import { isExcluded } from "../../client/no_proxy.ts";
import type { ResolvedProxy } from "../../client/proxy.ts";
import { proxyFromEnv } from "../../client/proxy_from_env.ts";
import { resolveProxy } from "../../client/resolve_proxy.ts";
import { canonicalHostname, type Endpoint } from "../../protocol/address.ts";

/** The environment variables that are read. */
export interface Environment {
  all_proxy?: string;
  ALL_PROXY?: string;
  no_proxy?: string;
  NO_PROXY?: string;
}

/** The proxy of a program, and the targets that it reaches without. */
export interface Way {
  readonly url: string;
  readonly proxy: ResolvedProxy;
  /** The targets without a proxy. */
  readonly noProxy: string | undefined;
  /** Whether a connection goes to a target without a proxy, or to the proxy itself. */
  isDirect(target: Endpoint): boolean;
}

/**
 * Reads the way from the environment. It is `undefined` if everything is to be direct, with
 * `NO_PROXY=*`.
 *
 * @throws {TypeError} when no variable names a proxy, or a variable cannot be used.
 */
export function readWay(env: Environment): Way | undefined {
  const { all_proxy, ALL_PROXY } = env;
  const noProxy = env.no_proxy || env.NO_PROXY;
  if (noProxy?.trim() === "*") return undefined;
  const url = proxyFromEnv({ all_proxy, ALL_PROXY }, "tcp://any.invalid:1");
  if (!url) {
    throw new TypeError(
      "ALL_PROXY names no proxy; for direct connections set NO_PROXY=*",
    );
  }
  const proxy = resolveProxy(url);
  const own = canonical(proxy.hostname);
  const isDirect = ({ hostname, port }: Endpoint) => {
    const name = canonical(hostname);
    if (port === proxy.port && name === own) return true;
    return noProxy !== undefined &&
      isExcluded(noProxy, { hostname: name, port });
  };
  return { url, proxy, noProxy, isDirect };
}

function canonical(hostname: string): string {
  return canonicalHostname(hostname) ?? hostname;
}

/**
 * The same list as all runtimes read it: some take a `*` among other entries for everything,
 * and some split at commas only.
 */
export function plainList(noProxy: string): string {
  return noProxy.split(/[\s,]+/).filter((it) => !it.includes("*")).join(",");
}
