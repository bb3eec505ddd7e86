/**
 * A proxy as an object, with defaults for everything done through it.
 *
 * @module
 */

import { type Endpoint, formatEndpoint } from "../protocol/address.ts";
import { Attempt, type AttemptOptions } from "./attempt.ts";
import { bindBy } from "./bind.ts";
import { connectBy } from "./connect.ts";
import { dialectOf } from "./dialects.ts";
import { checkKeys } from "../transport/check_keys.ts";
import {
  checkOptions,
  checkTimeout,
  CLIENT_KEYS,
  type ClientConnectOptions,
  type ClientOptions,
  CONNECT_KEYS,
  PROXY_KEYS,
  type ProxyOptions,
} from "./options.ts";
import type { ProxyConfig, ProxyProtocol, ResolvedProxy } from "./proxy.ts";
import { resolveBy, reverseBy } from "./resolve.ts";
import { resolveAuth } from "./resolve_auth.ts";
import { resolveProxy } from "./resolve_proxy.ts";
import { resolveTls } from "./resolve_tls.ts";
import type { SocksConn } from "./socks_conn.ts";
import type { SocksListener } from "./socks_listener.ts";
import { udpAssociateBy } from "./udp_associate.ts";
import type { UdpAssociation } from "./udp_association.ts";
import { UDP_KEYS, type UdpOptions } from "./udp_options.ts";

/**
 * A proxy as an object. The options of a call override the defaults of the object,
 * except that both signals end the attempt.
 */
export interface SocksProxy {
  /** The protocol that the proxy speaks. */
  readonly protocol: ProxyProtocol;
  /** The proxy's name or IP address. */
  readonly hostname: string;
  /** The proxy's port. */
  readonly port: number;
  /** Whether the proxy resolves the names of targets. If not, this client does. */
  readonly resolvesNames: boolean;
  /** Connects to a target, as the function {@linkcode connect} does. */
  connect(
    target: string | Endpoint,
    options?: ClientConnectOptions,
  ): Promise<SocksConn>;
  /** Asks the proxy to listen for one peer, as the function {@linkcode bind} does. */
  bind(
    peer?: string | Endpoint,
    options?: ClientOptions,
  ): Promise<SocksListener>;
  /** Opens a UDP association, as the function {@linkcode udpAssociate} does. */
  udpAssociate(options?: UdpOptions): Promise<UdpAssociation>;
  /** Returns an IP address of a name, as the function {@linkcode resolve} does. */
  resolve(hostname: string, options?: ClientOptions): Promise<string>;
  /** Returns the name of an IP address, as the function {@linkcode reverse} does. */
  reverse(address: string, options?: ClientOptions): Promise<string>;
  /** The URL of the proxy, without its credentials. */
  toString(): string;
}

/**
 * A proxy as an object, for programs that use it more than once. The object is
 * also a `dial` option for the server's `serve()`, with all commands.
 *
 * @param proxy As in {@linkcode connect}.
 * @param defaults Options for all calls.
 *
 * @throws {TypeError} when an argument is invalid.
 *
 * @example
 * ```ts
 * import { socks } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using server = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const url = `socks5h://127.0.0.1:${server.addr.port}`;
 * const proxy = socks(url, { timeout: 5_000 });
 * await using one = await proxy.connect(target.addr);
 * await using other = await proxy.connect(target.addr, { timeout: 1_000 });
 * await using listener = await proxy.bind("127.0.0.1");
 * await using udp = await proxy.udpAssociate();
 * console.log(`${proxy}` === url); // true
 * ```
 *
 * @example A server that goes through another proxy
 * ```ts
 * import { connect, socks } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using upstream = await serve({ port: 0 });
 * const dial = socks(`socks5h://127.0.0.1:${upstream.addr.port}`);
 * await using server = await serve({ port: 0, dial });
 *
 * await using target = await serve({ port: 0 }); // anything that listens
 * const url = `socks5h://127.0.0.1:${server.addr.port}`;
 * await using conn = await connect(url, target.addr); // through both
 * ```
 */
export function socks(
  proxy: string | URL | ProxyConfig,
  defaults: ProxyOptions = {},
): SocksProxy {
  const resolved = resolveProxy(proxy);
  if ((defaults as ClientOptions | null)?.conn !== undefined) {
    throw new TypeError(
      "conn is an option of a call: it can be used only once",
    );
  }
  checkKeys(defaults, PROXY_KEYS, "the options of socks()");
  const { auth, timeout, tls } = defaults;
  const dialect = dialectOf(resolved);
  resolveAuth(auth, resolved, dialect);
  resolveTls(tls, resolved);
  if (timeout !== undefined) checkTimeout(timeout);
  return new DefaultedProxy(resolved, defaults);
}

class DefaultedProxy implements SocksProxy {
  /** Private, so that no log shows the credentials. */
  readonly #proxy: ResolvedProxy;
  readonly #defaults: ProxyOptions;

  constructor(proxy: ResolvedProxy, defaults: ProxyOptions) {
    this.#proxy = proxy;
    this.#defaults = defaults;
  }

  get protocol(): ProxyProtocol {
    return this.#proxy.protocol;
  }

  get hostname(): string {
    return this.#proxy.hostname;
  }

  get port(): number {
    return this.#proxy.port;
  }

  get resolvesNames(): boolean {
    return dialectOf(this.#proxy).resolvesNames;
  }

  async connect(
    target: string | Endpoint,
    options: ClientConnectOptions = {},
  ): Promise<SocksConn> {
    checkOptions(options, CONNECT_KEYS, "connect");
    return await connectBy(this.#attempt(options), target, options);
  }

  async bind(
    peer?: string | Endpoint,
    options: ClientOptions = {},
  ): Promise<SocksListener> {
    checkOptions(options, CLIENT_KEYS, "bind");
    return await bindBy(this.#attempt(options), peer);
  }

  async udpAssociate(options: UdpOptions = {}): Promise<UdpAssociation> {
    checkOptions(options, UDP_KEYS, "udpAssociate");
    return await udpAssociateBy(this.#attempt(options), options);
  }

  async resolve(
    hostname: string,
    options: ClientOptions = {},
  ): Promise<string> {
    checkOptions(options, CLIENT_KEYS, "resolve");
    return await resolveBy(this.#attempt(options), hostname);
  }

  async reverse(
    address: string,
    options: ClientOptions = {},
  ): Promise<string> {
    checkOptions(options, CLIENT_KEYS, "reverse");
    return await reverseBy(this.#attempt(options), address);
  }

  #attempt(options: ClientOptions): Attempt {
    const { timeout, auth, tls, transport, signal: defaultSignal } =
      this.#defaults;
    const merged: AttemptOptions = {
      timeout: options.timeout ?? timeout,
      auth: options.auth ?? auth,
      tls: options.tls ?? tls,
      transport: options.transport ?? transport,
      conn: options.conn,
      signal: options.signal,
      defaultSignal,
    };
    return new Attempt(this.#proxy, merged);
  }

  toString(): string {
    return `${this.protocol}://${formatEndpoint(this.#proxy)}`;
  }
}
