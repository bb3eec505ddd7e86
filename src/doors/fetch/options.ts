/**
 * The options of the doors into `fetch()` and `WebSocket`.
 *
 * @module
 */

import {
  createDialer,
  type DialerOptions,
  type HopDialer,
  type Hops,
  parseHops,
  type ResolvedProxy,
} from "../../client/mod.ts";
import { checkKeys } from "../../transport/check_keys.ts";

/** Options of {@linkcode createFetch} and {@linkcode createWebSocket}. */
export interface FetchOptions {
  /**
   * Milliseconds for reaching a target through all hops; 0 means no limit. The answer of the
   * target has no limit.
   *
   * @default {30_000}
   */
  readonly timeout?: number;
  /**
   * TLS to the hops, for protocols such as `socks5+tls`: for all of them, or a list with an
   * entry for each hop, which is `undefined` for those without.
   */
  readonly tls?: DialerOptions["tls"];
  /** TLS to the targets, for `https:` and `wss:`. */
  readonly targetTls?: FetchTlsOptions;
}

/** TLS to the targets. All certificates and keys are in PEM. */
export interface FetchTlsOptions {
  /**
   * Certificates of the authorities that are trusted, instead of those that the runtime
   * comes with.
   */
  readonly ca?: string;
  /** The client's certificate, followed by those of intermediate authorities. */
  readonly cert?: string;
  /** The private key of `cert`, not encrypted. */
  readonly key?: string;
}

/** Options of a {@linkcode ProxiedWebSocket}. */
export interface WebSocketOptions {
  /** The subprotocols to offer. */
  readonly protocols?: string | string[];
  /** Further header fields of the request. */
  readonly headers?: ConstructorParameters<typeof Headers>[0];
}

/** The checked arguments of a door. */
export interface Route {
  /** With their credentials. */
  readonly hops: readonly ResolvedProxy[];
  readonly options: FetchOptions;
  readonly dialer: HopDialer;
}

/**
 * Checks the arguments of a door.
 *
 * @throws {TypeError} when one is invalid.
 */
export function routeOf(
  hops: Hops,
  options: FetchOptions,
  name: string,
): Route {
  checkKeys(options, OPTION_KEYS, `the options of ${name}()`);
  const { timeout, tls, targetTls = {} } = options;
  checkKeys(targetTls, ["ca", "cert", "key"], "targetTls");
  for (const [key, value] of Object.entries(targetTls)) {
    if (value === undefined || typeof value === "string") continue;
    throw new TypeError(`targetTls.${key} must be a text in PEM`);
  }
  const proxies = parseHops(hops);
  const dialer = createDialer(proxies, { timeout, tls });
  return { hops: proxies, options: { timeout, tls, targetTls }, dialer };
}

const OPTION_KEYS = ["timeout", "tls", "targetTls"];
