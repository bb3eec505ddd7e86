/**
 * An attempt at a command: the connection to the proxy, the handshake and the bound
 * address.
 *
 * @module
 */

import { type Endpoint, unmapIp } from "../protocol/address.ts";
import { systemClock } from "../transport/clock.ts";
import { detectTransport } from "../transport/detect.ts";
import { dial } from "../transport/dial.ts";
import { keepAliveQuietly } from "../transport/quiet.ts";
import { abortError, TlsError } from "../transport/errors.ts";
import type { TlsClientOptions } from "../transport/tls_options.ts";
import type { Conn, Transport } from "../transport/transport.ts";
import type { ClientAuth } from "./auth.ts";
import type { NegotiatingAttempt } from "./authenticate.ts";
import type { ClientDialect } from "./dialect.ts";
import { dialectOf } from "./dialects.ts";
import { SocksError, type SocksPhase } from "./error.ts";
import { givenConn } from "./given_conn.ts";
import { errorAtHop } from "./hops.ts";
import { type Granted, readSecondReply, shakeHands } from "./shake_hands.ts";
import { Operation, type OperationBounds } from "./operation.ts";
import { type ClientOptions, DEFAULT_TIMEOUT } from "./options.ts";
import type { ProxyConfig, ResolvedProxy } from "./proxy.ts";
import { resolveAuth } from "./resolve_auth.ts";
import { resolveProxy } from "./resolve_proxy.ts";
import { checkGiven, resolveTls, type TlsSettings } from "./resolve_tls.ts";
import type { TargetResolver } from "./target.ts";
import {
  abortToSocksError,
  targetTlsError,
  toSocksError,
  unresolvedError,
} from "./to_socks_error.ts";

/** The options of an {@linkcode Attempt}. */
export interface AttemptOptions extends ClientOptions {
  /** A second signal that ends the attempt. */
  readonly defaultSignal?: AbortSignal;
  /** The chain that the proxy belongs to, for errors. */
  readonly place?: ChainPlace;
}

/** A place in a chain. */
export interface ChainPlace {
  /** From 1. */
  readonly number: number;
  readonly hops: readonly ResolvedProxy[];
}

/** An attempt at a command, or at a later step of one. */
export class Attempt extends Operation
  implements NegotiatingAttempt, TargetResolver {
  phase: SocksPhase;
  readonly proxy: ResolvedProxy;
  readonly dialect: ClientDialect;
  readonly auth: readonly ClientAuth[];
  readonly bounds: OperationBounds;
  /** `undefined` without TLS. */
  readonly tls: TlsSettings | undefined;
  readonly #transport: Transport | undefined;
  readonly #place: ChainPlace | undefined;
  /** Whether the caller provided the connection to the proxy. */
  readonly #isGiven: boolean;
  #conn: Conn | undefined;
  /** Whether the arguments have been checked, and the network is in use. */
  #isUnderWay = false;

  /** Throws a TypeError for invalid arguments, and closes the given connection then. */
  constructor(
    proxy: string | URL | ProxyConfig,
    options: AttemptOptions,
    phase: SocksPhase = "dial",
  ) {
    super();
    this.phase = phase;
    const { conn, transport, signal, defaultSignal } = options;
    const { timeout = DEFAULT_TIMEOUT } = options;
    const clock = transport?.clock ?? systemClock;
    this.bounds = { timeout, clock, signal, defaultSignal };
    this.#transport = transport;
    this.#place = options.place;
    this.#isGiven = conn !== undefined;
    if (conn !== undefined) this.keep(this.#conn = givenConn(conn));
    try {
      this.proxy = resolveProxy(proxy);
      this.dialect = dialectOf(this.proxy);
      this.auth = resolveAuth(options.auth, this.proxy, this.dialect);
      this.tls = resolveTls(options.tls, this.proxy);
      if (this.tls && this.#conn?.tls && phase === "dial") {
        checkGiven(options.tls);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** A later step over this attempt's connection, with bounds of its own. */
  next(phase: SocksPhase, options: ClientOptions): Attempt {
    const own = { transport: this.#transport, place: this.#place };
    return new Attempt(this.proxy, { ...options, ...own }, phase);
  }

  protected callerError(error: unknown): unknown {
    const converted = this.#convert(error);
    const place = this.#place;
    return place && converted instanceof SocksError
      ? errorAtHop(converted, place.number, place.hops)
      : converted;
  }

  #convert(error: unknown): unknown {
    const { stopping, phase, proxy } = this;
    if (stopping.aborted) {
      return abortToSocksError(abortError(stopping), phase, proxy);
    }
    // Later ones come from connections and transports of the caller.
    const isOfArgument = error instanceof TypeError && !this.#isUnderWay;
    return isOfArgument ? error : toSocksError(error, phase, proxy);
  }

  /** The network that the attempt uses. */
  transport(): Promise<Transport> {
    this.#isUnderWay = true;
    const transport = this.#transport;
    return transport ? Promise.resolve(transport) : detectTransport();
  }

  async lookup(hostname: string): Promise<string[]> {
    const { stopping } = this;
    const transport = await this.transport();
    try {
      return await transport.lookup(hostname, stopping);
    } catch (error) {
      if (stopping.aborted) throw error;
      const phase = this.phase === "udp" ? "udp" : "request";
      throw unresolvedError(hostname, phase, error as Error);
    }
  }

  /** The connection to the proxy, without any wrapper. */
  async dial(): Promise<Conn> {
    this.#isUnderWay = true;
    if (this.#conn && this.phase !== "dial") return this.#conn;
    if (this.#conn) return await this.#secureGiven(this.#conn);
    const { hostname, port } = this.proxy;
    const { stopping: signal } = this;
    const transport = await this.transport();
    this.throwIfStopped();
    const { tls } = this;
    const conn = await dial(transport, { hostname, port, tls, signal });
    this.keep(this.#conn = conn);
    this.throwIfStopped();
    if (tls && !conn.tls) throw new TlsError("handshake", NO_TLS);
    return conn;
  }

  /**
   * Starts TLS over the given connection if the proxy speaks it. TLS of the connection's
   * `inner` does not count: it does not encrypt what that proxy sends to the next one.
   */
  async #secureGiven(conn: Conn): Promise<Conn> {
    const { tls } = this;
    return tls && !conn.tls ? this.#conn = await this.secure(conn, tls) : conn;
  }

  /** Starts TLS over a connection of this attempt. */
  async secure(conn: Conn, how: TlsClientOptions): Promise<Conn> {
    const { tlsOver } = await import("../transport/tls/connect.ts");
    this.throwIfStopped();
    return await this.open(tlsOver(conn, how, this.stopping));
  }

  /** Starts TLS to the target of a granted request. */
  async secureTarget(
    conn: Conn,
    how: TlsClientOptions,
    target: Endpoint,
  ): Promise<Conn> {
    this.phase = "target-tls";
    try {
      return await this.secure(conn, how);
    } catch (error) {
      throw targetTlsError(error, target);
    }
  }

  adopt(wrapped: Conn): void {
    this.keep(wrapped);
    this.throwIfStopped();
  }

  /**
   * Connects, authenticates and requests a command. The connection has keepalive from then
   * on: if the proxy dies while the client waits for a reply, for a peer, for datagrams or
   * for bytes of the target, nothing else detects that. It costs about a hundredth of a new
   * connection.
   */
  async request(command: number, target: Endpoint): Promise<Granted> {
    const conn = await this.dial();
    keepAliveQuietly(conn);
    return await shakeHands(this, conn, command, target);
  }

  /** Waits for the second reply to BIND; returns the peer's address. */
  async secondReply(): Promise<Endpoint> {
    return await readSecondReply(this, await this.dial());
  }

  /** A bound address as this machine reaches it: zeros stand for the proxy's own address. */
  reachable({ hostname, port }: Endpoint): Endpoint {
    const plain = unmapIp(hostname);
    if (plain !== "0.0.0.0" && plain !== "::") return { hostname: plain, port };
    // The remote address of a given connection may be that of another hop.
    const own = this.#isGiven
      ? this.proxy.hostname
      : this.#conn!.remoteAddr.hostname;
    return { hostname: own, port };
  }
}

const NO_TLS = "the transport does not support TLS";
