/**
 * The way that the connections of a door take.
 *
 * @module
 */

import type { ClientAuth } from "../../client/auth.ts";
import type { ClientDialect } from "../../client/dialect.ts";
import { dialectOf } from "../../client/dialects.ts";
import { hopAddress, type Hops, parseHops } from "../../client/hops.ts";
import {
  checkTimeout,
  DEFAULT_TIMEOUT,
  type TlsOptions,
} from "../../client/options.ts";
import { isOverTls, type ResolvedProxy } from "../../client/proxy.ts";
import { resolveAuth } from "../../client/resolve_auth.ts";
import { resolveTls, type TlsSettings } from "../../client/resolve_tls.ts";
import { resolveTarget } from "../../client/target.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { lookUp } from "./look_up.ts";

/** The options that all doors have. */
export interface DoorOptions {
  /**
   * Milliseconds from the start of a connection to the last proxy's reply (and to the end of
   * the target's TLS handshake, if the door does that); 0 means no limit.
   *
   * @default {30_000}
   */
  readonly timeout?: number;
  /**
   * The authentication methods to offer to every proxy, see `connect()`. Only methods that
   * work without I/O are possible, which `gssapi()` does not.
   */
  readonly auth?: readonly ClientAuth[];
  /**
   * How the certificates of the proxies with TLS are checked; or a list with an entry for
   * each proxy, which is `undefined` for those without TLS.
   */
  readonly tls?: TlsOptions | readonly (TlsOptions | undefined)[];
}

/** The keys of {@linkcode DoorOptions}. */
export const DOOR_KEYS: readonly string[] = ["timeout", "auth", "tls"];

/** One proxy of a route. */
export interface RouteHop {
  readonly proxy: ResolvedProxy;
  readonly dialect: ClientDialect;
  readonly auth: readonly ClientAuth[];
  /** `undefined` without TLS. */
  readonly tls: TlsSettings | undefined;
  readonly lookup: typeof lookUp;
}

/** The proxies between this machine and the targets, checked once for all connections. */
export class Route {
  /** Milliseconds for each connection; 0 means no limit. */
  readonly timeout: number;
  /** Private, so that no log shows the credentials. */
  readonly #hops: readonly RouteHop[];

  /** Throws a TypeError for invalid arguments. */
  constructor(hops: Hops, options: DoorOptions = {}) {
    const { timeout = DEFAULT_TIMEOUT, auth, tls } = options;
    checkTimeout(timeout);
    this.timeout = timeout;
    const proxies = parseHops(hops);
    const settings = tlsOf(proxies, tls);
    this.#hops = proxies.map((proxy, i) => {
      const dialect = dialectOf(proxy);
      return {
        proxy,
        dialect,
        auth: synchronous(resolveAuth(auth, proxy, dialect)),
        tls: resolveTls(settings[i], proxy),
        lookup: lookUp,
      };
    });
  }

  /** The proxies; they contain the credentials. */
  get hops(): readonly RouteHop[] {
    return this.#hops;
  }

  /** Whether the way leads through a proxy with TLS. */
  get hasTls(): boolean {
    return this.#hops.some((it) => it.tls !== undefined);
  }

  /**
   * What to request from each proxy so that the last one connects to the target. A promise
   * if this client has to resolve a name first.
   *
   * @throws {SocksError} with code `dns` or `address-type`.
   */
  requests(
    target: Endpoint,
  ): readonly Endpoint[] | Promise<readonly Endpoint[]> {
    const hops = this.#hops;
    const found = hops.map((hop, i) =>
      resolveTarget(hop, hops[i + 1]?.proxy ?? target)
    );
    const isReady = found.every((it) => !(it instanceof Promise));
    return isReady ? found as Endpoint[] : Promise.all(found);
  }

  /** The URLs of the proxies without credentials, separated by spaces. */
  toString(): string {
    return this.#hops
      .map(({ proxy }) => `${proxy.protocol}://${hopAddress(proxy)}`)
      .join(" ");
  }
}

/** The last route that {@linkcode routeOf} has created, and its URLs. */
let last: { readonly hops: Hops; readonly route: Route } | undefined;

/**
 * Returns a route for one connection: most programs have the same proxies for all, and to
 * check them costs as much as the rest of a handshake.
 */
export function routeOf(hops: Hops, options: DoorOptions): Route {
  const { auth, tls, timeout } = options;
  const isPlain = typeof hops === "string" && timeout === undefined &&
    auth === undefined && tls === undefined;
  if (!isPlain) return new Route(hops, options);
  if (last?.hops !== hops) last = { hops, route: new Route(hops) };
  return last.route;
}

function synchronous(auth: readonly ClientAuth[]): readonly ClientAuth[] {
  const other = auth.find((it) => it.negotiate);
  if (!other) return auth;
  throw new TypeError(
    `method ${other.name} does its own I/O, so that it works only with connect()`,
  );
}

function tlsOf(
  proxies: readonly ResolvedProxy[],
  tls: DoorOptions["tls"],
): readonly (TlsOptions | undefined)[] {
  if (Array.isArray(tls)) {
    if (tls.length === proxies.length) return tls;
    throw new TypeError(
      `tls has ${tls.length} entries, but there are ${proxies.length} proxies`,
    );
  }
  const all = tls as TlsOptions | undefined;
  // Throws a TypeError that names the protocol to use.
  if (!proxies.some(isOverTls)) resolveTls(all, proxies[0]);
  return proxies.map((it) => isOverTls(it) ? all : undefined);
}
