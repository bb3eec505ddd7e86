/**
 * Dialers: connections through one proxy or a chain of them.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { checkKeys } from "../transport/check_keys.ts";
import { systemClock } from "../transport/clock.ts";
import { bindBy, noBind } from "./bind.ts";
import { Chain, type ChainHop } from "./chain.ts";
import { checkTargetTls, connectBy } from "./connect.ts";
import type { ClientDialect } from "./dialect.ts";
import { dialectOf } from "./dialects.ts";
import { SocksError } from "./error.ts";
import { errorAtHop, hopAddress, type Hops, parseHops } from "./hops.ts";
import {
  checkSignal,
  checkTimeout,
  type ClientConnectOptions,
  DEFAULT_TIMEOUT,
  type ProxyOptions,
  type TlsOptions,
} from "./options.ts";
import { isOverTls, type ResolvedProxy } from "./proxy.ts";
import { resolveBy, reverseBy } from "./resolve.ts";
import { resolveAuth } from "./resolve_auth.ts";
import { resolveTls } from "./resolve_tls.ts";
import type { SocksConn } from "./socks_conn.ts";
import type { SocksListener } from "./socks_listener.ts";
import { parseTarget } from "./target.ts";
import { udpAssociateBy } from "./udp_associate.ts";
import type { UdpAssociation } from "./udp_association.ts";

/** Options of {@linkcode createDialer}: the defaults of everything done through the hops. */
export interface DialerOptions extends Omit<ProxyOptions, "tls"> {
  /**
   * Milliseconds for all hops together, from the call to the last reply; 0 means no limit.
   *
   * @default {30_000}
   */
  readonly timeout?: number;
  /**
   * For all hops with TLS; or a list with an entry for each hop, which is `undefined` for
   * those without.
   */
  readonly tls?: TlsOptions | readonly (TlsOptions | undefined)[];
}

/** Options of one call of a {@linkcode HopDialer}. */
export interface HopOptions {
  /**
   * Ends the attempt at any hop; the rejection's code is `aborted`, or `timeout` for
   * `AbortSignal.timeout()`.
   */
  readonly signal?: AbortSignal;
  /** In place of that of the dialer. */
  readonly timeout?: number;
}

/** Options of {@linkcode HopDialer.connect}. */
export interface HopConnectOptions
  extends HopOptions, Pick<ClientConnectOptions, "targetTls"> {}

/**
 * The way through one proxy or a chain of them. Everything that it returns is what
 * {@linkcode connect}, {@linkcode bind} and so on return for a single proxy.
 *
 * Errors have the hop that failed as {@linkcode SocksError.hop}.
 */
export interface HopDialer {
  /** Whether the last hop resolves the names of targets. If not, this client does. */
  readonly resolvesNames: boolean;
  /** Connects to a target. */
  connect(
    target: string | Endpoint,
    options?: HopConnectOptions,
  ): Promise<SocksConn>;
  /** Asks the last hop to listen for one peer. */
  bind(peer?: string | Endpoint, options?: HopOptions): Promise<SocksListener>;
  /**
   * Opens a UDP association. Through several hops it rejects with code `unsupported`:
   * datagrams do not travel through the connections of a chain, and would go around the
   * hops before the last one.
   */
  udpAssociate(options?: HopOptions): Promise<UdpAssociation>;
  /** Asks the last hop for an IP address of a name. */
  resolve(hostname: string, options?: HopOptions): Promise<string>;
  /** Asks the last hop for the name of an IP address. */
  reverse(address: string, options?: HopOptions): Promise<string>;
  /** The URLs of the hops without credentials, separated by spaces. */
  toString(): string;
}

/**
 * Creates a dialer for any number of hops of any kind. The client connects to the first
 * one, the first one to the second, and the last one to the targets. The name of a hop is
 * resolved where the scheme of the hop before it says, that of the first hop here.
 *
 * The dialer is also a `dial` option for the server's `serve()`, with all commands that
 * the last hop has.
 *
 * @param hops One proxy as in {@linkcode connect}, a list of them, or a text with their
 * URLs, separated by spaces.
 *
 * @throws {TypeError} when an argument is invalid; the message contains no password.
 *
 * @example
 * ```ts
 * import { createDialer } from "@x/socks5/client";
 * import { serve, userPass } from "@x/socks5/server";
 *
 * await using first = await serve({ port: 0, auth: [userPass({ al: "pw" })] });
 * await using second = await serve({ port: 0, http: true });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const dialer = createDialer([
 *   `socks5h://al:pw@127.0.0.1:${first.addr.port}`,
 *   `http://127.0.0.1:${second.addr.port}`,
 * ], { timeout: 5_000 });
 * await using conn = await dialer.connect(target.addr);
 * await conn.write(Uint8Array.of(5, 1, 0));
 * console.log(await conn.read()); // Uint8Array [5, 0]
 * ```
 *
 * @example The hop that failed
 * ```ts
 * import { createDialer, SocksError } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using first = await serve({ port: 0 });
 * const url = `socks5h://127.0.0.1:${first.addr.port}`;
 * const dialer = createDialer(`${url} socks5h://127.0.0.1:1`); // nothing listens there
 * try {
 *   await dialer.connect("example.com:443");
 * } catch (error) {
 *   if (!(error instanceof SocksError)) throw error;
 *   console.log(error.code, error.reply, error.hop?.number); // rejected 5 1
 * }
 * ```
 */
export function createDialer(
  hops: Hops,
  options: DialerOptions = {},
): HopDialer {
  checkKeys(options, DIALER_KEYS, "the options of createDialer()");
  return new ChainDialer(parseHops(hops), options);
}

/** The keys of {@linkcode DialerOptions}. */
export const DIALER_KEYS: readonly string[] = [
  "timeout",
  "signal",
  "auth",
  "tls",
  "transport",
];
/** The keys of {@linkcode HopOptions}, and the additional one of the server's `DialContext`. */
export const HOP_KEYS: readonly string[] = ["timeout", "signal", "session"];
/** The keys of {@linkcode HopConnectOptions}, likewise. */
export const HOP_CONNECT_KEYS: readonly string[] = [...HOP_KEYS, "targetTls"];

/** The dialer of a chain. */
export class ChainDialer implements HopDialer {
  readonly resolvesNames: boolean;
  /** The number of hops. */
  readonly length: number;
  /** Private, so that no log shows the credentials. */
  readonly #hops: readonly ChainHop[];
  readonly #defaults: DialerOptions;
  readonly #reachTimeout: number;
  /** That of the last hop. */
  readonly #dialect: ClientDialect;

  /** For `reachTimeout`, see {@linkcode Chain}. */
  constructor(
    hops: readonly ResolvedProxy[],
    defaults: DialerOptions,
    reachTimeout = 0,
  ) {
    const { timeout, signal } = defaults;
    if (timeout !== undefined) checkTimeout(timeout);
    if (signal !== undefined) checkSignal(signal);
    this.#hops = chainOf(hops, defaults);
    this.#defaults = defaults;
    this.#reachTimeout = reachTimeout;
    this.#dialect = dialectOf(hops.at(-1)!);
    this.resolvesNames = this.#dialect.resolvesNames;
    this.length = hops.length;
  }

  async connect(
    target: string | Endpoint,
    options: HopConnectOptions = {},
  ): Promise<SocksConn> {
    const chain = this.#chain(options, "connect", HOP_CONNECT_KEYS);
    // Before anything is sent.
    const wanted = parseTarget(target);
    // Without it, the timeout starts with the call.
    if (options.targetTls) await checkTargetTls(options.targetTls, wanted);
    const how = { targetTls: options.targetTls };
    return await chain.command((attempt) => connectBy(attempt, wanted, how));
  }

  async bind(
    peer?: string | Endpoint,
    options: HopOptions = {},
  ): Promise<SocksListener> {
    const chain = this.#chain(options, "bind");
    const wanted = peer === undefined ? undefined : parseTarget(peer, 0);
    if (!this.#dialect.hasBind) throw this.#unsupported(noBind());
    return await chain.command((attempt) => bindBy(attempt, wanted));
  }

  async udpAssociate(options: HopOptions = {}): Promise<UdpAssociation> {
    const chain = this.#chain(options, "udpAssociate");
    if (this.length > 1) throw this.#unsupported(noDatagrams());
    return await chain.command((attempt) => udpAssociateBy(attempt, {}));
  }

  async resolve(hostname: string, options: HopOptions = {}): Promise<string> {
    const chain = this.#chain(options, "resolve");
    const dialect = this.#dialect;
    if (!dialect.hasResolve) {
      const { noResolve } = await import("./look_up.ts");
      throw this.#unsupported(noResolve({ dialect }));
    }
    return await chain.command((attempt) => resolveBy(attempt, hostname));
  }

  async reverse(address: string, options: HopOptions = {}): Promise<string> {
    const chain = this.#chain(options, "reverse");
    const dialect = this.#dialect;
    if (!dialect.hasReverse) {
      const { noReverse } = await import("./look_up.ts");
      throw this.#unsupported(noReverse({ dialect }));
    }
    return await chain.command((attempt) => reverseBy(attempt, address));
  }

  /** The error of the last hop for a command that is refused before anything is sent. */
  #unsupported(error: SocksError): SocksError {
    const { number, hops } = this.#hops.at(-1)!.place;
    return errorAtHop(error, number, hops);
  }

  #chain(options: HopOptions, name: string, keys = HOP_KEYS): Chain {
    checkKeys(options, keys, `the options of ${name}()`);
    const { signal: defaultSignal, transport } = this.#defaults;
    const { timeout = this.#defaults.timeout ?? DEFAULT_TIMEOUT } = options;
    const clock = transport?.clock ?? systemClock;
    const { signal } = options;
    const bounds = { timeout, clock, signal, defaultSignal };
    return new Chain(this.#hops, bounds, this.#reachTimeout);
  }

  toString(): string {
    return this.#hops
      .map(({ proxy }) => `${proxy.protocol}://${hopAddress(proxy)}`)
      .join(" ");
  }
}

/** Checks the options of each hop. */
function chainOf(
  hops: readonly ResolvedProxy[],
  { auth, tls, transport }: DialerOptions,
): ChainHop[] {
  const settings = tlsOfHops(hops, tls);
  return hops.map((proxy, index) => {
    const tls = settings[index];
    resolveAuth(auth, proxy, dialectOf(proxy));
    resolveTls(tls, proxy);
    const place = { number: index + 1, hops };
    return { proxy, place, options: { auth, tls, transport } };
  });
}

function tlsOfHops(
  hops: readonly ResolvedProxy[],
  tls: DialerOptions["tls"],
): readonly (TlsOptions | undefined)[] {
  if (Array.isArray(tls)) {
    if (tls.length === hops.length) return tls;
    throw new TypeError(
      `tls has ${tls.length} entries, but there are ${hops.length} hops`,
    );
  }
  const all = tls as TlsOptions | undefined;
  if (all !== undefined && !hops.some(isOverTls)) {
    throw new TypeError(
      "tls is for hops such as socks5+tls:, and there is none",
    );
  }
  return hops.map((it) => isOverTls(it) ? all : undefined);
}

function noDatagrams(): SocksError {
  const message =
    "datagrams do not travel through a chain: they can be sent only to the relay of " +
    "a proxy that this machine reaches directly, around the other hops";
  return new SocksError("unsupported", message, { phase: "udp" });
}
