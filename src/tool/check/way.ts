/**
 * The way to the proxy that is checked, and its answers.
 *
 * @module
 */

import {
  anonymous,
  type ClientAuth,
  passwordLogin,
} from "../../client/auth.ts";
import { createDialer } from "../../client/dialer.ts";
import { errorAtHop } from "../../client/hops.ts";
import type { TargetTlsOptions, TlsOptions } from "../../client/options.ts";
import {
  hasLogin,
  isHttp,
  isOverTls,
  type PlainProtocol,
  type ProxyConfig,
  type ResolvedProxy,
} from "../../client/proxy.ts";
import { resolveTls } from "../../client/resolve_tls.ts";
import { toSocksError } from "../../client/to_socks_error.ts";
import { dial } from "../../transport/dial.ts";
import type { Conn, Transport } from "../../transport/transport.ts";
import type { Scope } from "./scope.ts";

/** A protocol without what is around it. */
export type Plain = PlainProtocol | "http";

/** Which login to use: that of the user, none, or one that is wrong for sure. */
export type Login = "own" | "none" | "wrong";

/** The parts of a {@linkcode Way}. */
export interface WayParts {
  readonly hops: readonly ResolvedProxy[];
  readonly transport: Transport;
  readonly tls: TlsOptions | undefined;
  /** The methods of the login, if they are not the default ones. */
  readonly auth: readonly ClientAuth[] | undefined;
}

/** Opens connections to the proxy, which speak none of its protocols yet. */
export class Way {
  readonly transport: Transport;
  /** The proxy that is checked. */
  readonly proxy: ResolvedProxy;
  /** The methods of the login; `undefined` stands for the default. */
  auth: readonly ClientAuth[] | undefined;
  readonly #parts: WayParts;

  constructor(parts: WayParts) {
    this.transport = parts.transport;
    this.proxy = parts.hops.at(-1)!;
    this.auth = parts.auth;
    this.#parts = parts;
  }

  /** Whether there are other proxies before it. */
  get isChain(): boolean {
    return this.#parts.hops.length > 1;
  }

  get speaksTls(): boolean {
    return isOverTls(this.proxy);
  }

  /** The protocol of the URL. */
  get protocol(): Plain {
    if (isHttp(this.proxy)) return "http";
    return this.proxy.protocol.replace("+tls", "") as PlainProtocol;
  }

  get hasLogin(): boolean {
    return hasLogin(this.proxy);
  }

  /** Connects, and speaks TLS if the URL says so. */
  open(scope: Scope): Promise<Conn> {
    return this.#open(scope, this.speaksTls);
  }

  /** Connects without TLS. */
  openPlain(scope: Scope): Promise<Conn> {
    return this.#open(scope, false);
  }

  async #open(scope: Scope, withTls: boolean): Promise<Conn> {
    const { proxy, transport } = this;
    const { hostname, port } = proxy;
    const { signal } = scope;
    const before = this.#parts.hops.slice(0, -1);
    if (before.length > 0) {
      const { auth } = this.#parts;
      const tls = before.some(isOverTls) ? this.#parts.tls : undefined;
      const options = { auth, tls, transport, timeout: 0 };
      const dialer = createDialer(before, options);
      const how = { signal, targetTls: withTls && this.#tls };
      return scope.keep(await dialer.connect({ hostname, port }, how));
    }
    const tls = withTls ? resolveTls(this.#parts.tls, proxy) : undefined;
    try {
      return scope.keep(
        await dial(transport, { hostname, port, tls, signal }),
      );
    } catch (error) {
      throw errorAtHop(toSocksError(error, "dial", proxy), 1, [proxy]);
    }
  }

  /** The options of TLS to the proxy behind others. */
  get #tls(): TargetTlsOptions {
    const { plainDatagrams: _, ...tls } = this.#parts.tls ?? {};
    return tls;
  }

  /** The proxy as one of a protocol, with a login. */
  config(protocol: Plain, login: Login): ProxyConfig {
    const { hostname, port, username, password } = this.proxy;
    const plain = { protocol, hostname, port };
    if (login === "none") return plain;
    if (login === "own") return { ...plain, username, password };
    return { ...plain, username, password: crypto.randomUUID() };
  }

  /** The authentication methods for a login. */
  authFor(protocol: Plain, login: Login): readonly ClientAuth[] | undefined {
    if (login === "none") return [anonymous()];
    const isSocks5 = protocol === "socks5" || protocol === "socks5h";
    if (!isSocks5) return undefined;
    return login === "wrong" ? [passwordLogin()] : this.auth;
  }
}
