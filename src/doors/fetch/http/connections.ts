/**
 * The connections of HTTP to all origins.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { setTimeout } from "node:timers";
import { SocksError } from "../../../client/error.ts";
import { parseTarget } from "../../../client/target.ts";
import { isIp } from "../../../protocol/address.ts";
import { openSocket } from "../../socket/open_socket.ts";
import type { Route } from "../../socket/route.ts";
import { targetOf } from "../failures.ts";
import { closedError, socksErrorIn } from "../way.ts";
import { Http1Connection } from "./http1.ts";
import type { Http2Connection } from "./http2.ts";
import type { HttpConnection } from "./messages.ts";
import type { Stop } from "./stop.ts";

/** TLS to the origins, as for `tls.connect()`. */
export type TlsToOrigins = Pick<ConnectionOptions, "ca" | "cert" | "key">;

/** How many connections without requests are kept for each origin. */
const MAX_IDLE = 32;

/** How often connections are looked at, in milliseconds. */
const SWEEP = 10_000;

/** How long an HTTP/2 connection without requests is kept, in milliseconds. */
const KEPT_HTTP2 = 90_000;

interface Idle {
  readonly connection: Http1Connection;
  /** By `performance.now()` */
  readonly until: number;
}

/** Opens connections, and keeps them for further requests. */
export class Connections {
  readonly #route: Route | Promise<Route>;
  readonly #tls: TlsToOrigins;
  /** By origin; the latest last. */
  readonly #idle = new Map<string, Idle[]>();
  /** By origin. */
  readonly #http2 = new Map<string, Http2Connection>();
  readonly #open = new Set<HttpConnection>();
  /** Ends the dials. */
  readonly #closing = new AbortController();
  #timer: { unref(): unknown } | undefined;

  constructor(route: Route | Promise<Route>, tls: TlsToOrigins) {
    this.#route = route;
    this.#tls = tls;
  }

  /** Returns a connection that has been kept, if there is one. */
  kept({ origin }: URL): HttpConnection | undefined {
    const http2 = this.#http2.get(origin);
    if (http2?.isOpen) return http2;
    const list = this.#idle.get(origin);
    const now = performance.now();
    for (let it = list?.pop(); it; it = list!.pop()) {
      if (it.until > now && it.connection.isOpen) return it.connection;
      it.connection.destroy();
    }
    return undefined;
  }

  /** Opens a connection; it may be one that has been opened meanwhile. */
  async open(url: URL, stop: Stop): Promise<HttpConnection> {
    const socket = await this.#dial(url, stop);
    socket.setNoDelay(true);
    const { origin } = url;
    if ((socket as Partial<TLSSocket>).alpnProtocol !== "h2") {
      return this.#added(
        new Http1Connection(socket, {
          onIdle: (it, ms) => this.#keep(origin, it, ms),
          onClose: (it) => this.#open.delete(it),
        }),
      );
    }
    const { Http2Connection } = await import("./http2.ts");
    const other = this.#http2.get(origin);
    if (other?.isOpen || this.#isClosed) {
      socket.destroy();
      if (this.#isClosed) throw closedError();
      return other!;
    }
    const connection = new Http2Connection(origin, socket, () => {
      if (this.#http2.get(origin) === connection) this.#http2.delete(origin);
    });
    this.#http2.set(origin, connection);
    this.#sweepLater();
    return connection;
  }

  async #dial(url: URL, stop: Stop): Promise<Socket> {
    const target = parseTarget(targetOf(url.href));
    const ended = this.#closing.signal;
    const route = await this.#route;
    stop.check();
    if (ended.aborted) throw closedError();
    const targetTls = url.protocol === "https:"
      ? this.#tlsTo(target.hostname)
      : undefined;
    return await new Promise((resolve, reject) => {
      let failure: unknown;
      const onSocket = (error?: Error, socket?: Socket) => {
        ended.removeEventListener("abort", close);
        if (failure === undefined && !error) return resolve(socket!);
        socket?.destroy();
        reject(failure ?? reasonOf(error!));
      };
      const give = (reason: unknown) => {
        failure = reason ?? new Error("aborted");
        dial.abort(failure as Error);
        reject(failure);
      };
      const close = () => give(closedError());
      const dial = openSocket(route, target, { targetTls }, onSocket);
      ended.addEventListener("abort", close);
      stop.action = give;
    });
  }

  #tlsTo(hostname: string): ConnectionOptions {
    const name = isIp(hostname)
      ? { host: hostname }
      : { servername: hostname.replace(/\.$/, "") };
    return { ...name, ...this.#tls, ALPNProtocols: ["h2", "http/1.1"] };
  }

  #added(connection: Http1Connection): Http1Connection {
    if (this.#isClosed) {
      connection.destroy();
      throw closedError();
    }
    this.#open.add(connection);
    return connection;
  }

  #keep(origin: string, connection: Http1Connection, ms: number): void {
    let list = this.#idle.get(origin);
    if (!list) this.#idle.set(origin, list = []);
    list.push({ connection, until: performance.now() + ms });
    if (list.length > MAX_IDLE) list.shift()!.connection.destroy();
    this.#sweepLater();
  }

  #sweepLater(): void {
    this.#timer ??= setTimeout(() => this.#sweep(), SWEEP).unref();
  }

  /** Closes the connections that nobody has needed. */
  #sweep(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [origin, list] of this.#idle) {
      const kept = list.filter((it) => it.until > now && it.connection.isOpen);
      for (const it of list) if (!kept.includes(it)) it.connection.destroy();
      if (kept.length > 0) this.#idle.set(origin, kept);
      else this.#idle.delete(origin);
    }
    for (const it of this.#http2.values()) {
      if (it.isIdle && it.idleSince + KEPT_HTTP2 < now) it.retire();
    }
    if (this.#idle.size + this.#http2.size > 0) this.#sweepLater();
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Closes all connections. */
  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer as unknown as number);
    for (const it of [...this.#open, ...this.#http2.values()]) it.destroy();
    this.#idle.clear();
    this.#http2.clear();
  }
}

/** A failure of the target's TLS is none of the proxies. */
function reasonOf(error: Error): Error {
  const found = socksErrorIn(error);
  const { phase, code, message, cause } = found ?? {};
  if (phase !== "target-tls" || code === "timeout") return error;
  return new TypeError(`fetch failed: ${message}`, {
    cause: cause instanceof SocksError ? undefined : cause,
  });
}
