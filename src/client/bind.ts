/**
 * Connections to a proxy's port, for us: the command BIND.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { COMMAND } from "../protocol/socks5.ts";
import type { Conn } from "../transport/transport.ts";
import { NetError } from "../transport/errors.ts";
import { Attempt, type ClientOptions } from "./attempt.ts";
import { SocksError } from "./error.ts";
import type { ProxyConfig, ResolvedProxy } from "./proxy.ts";
import { type SocksConn, Tunnel } from "./socks_conn.ts";
import { parseTarget, resolveTarget } from "./target.ts";

/** Bounds of a wait for the peer. */
export interface AcceptOptions {
  /** Gives the wait up, and the listener with it; the rejection's code is `aborted`, or `timeout` for `AbortSignal.timeout()`. */
  readonly signal?: AbortSignal;
  /**
   * Milliseconds, not negative; 0 means for ever. A proxy has a limit of its own
   * as well, often a minute, and says so.
   *
   * @default {120_000}
   */
  readonly timeout?: number;
}

/** A port that a proxy has opened for one peer. */
export interface SocksListener extends AsyncDisposable {
  /**
   * Where the peer is to connect to. Where the proxy says `0.0.0.0` or `::`
   * this is its own address as we know it, which may be a name.
   */
  readonly addr: Endpoint;
  /**
   * Waits for the peer, the only one: a BIND is for a single connection, and a
   * second call rejects with code `closed`. May be called long after the peer
   * has come.
   *
   * @throws {SocksError} when nobody comes; the listener is closed then. The
   * code is `rejected` when the proxy says so, such as when its time is up or
   * somebody else than the expected peer came.
   * @throws {TypeError} when the timeout is none; the listener is closed then, too.
   */
  accept(options?: AcceptOptions): Promise<InboundConn>;
  /** Gives the port back; a waiting `accept` rejects with code `closed`. The accepted connection lives on. Idempotent. */
  close(): void;
}

/** A connection that a peer made to a {@linkcode SocksListener}. */
export interface InboundConn extends SocksConn {
  /** Who connected, as the proxy says. */
  readonly peerAddr: Endpoint;
}

const ANYBODY: Endpoint = { hostname: "0.0.0.0", port: 0 };

/**
 * Lets a SOCKS proxy listen for one connection from a peer, as active FTP needs
 * it; the proxy chooses the port.
 *
 * @param proxy As in {@linkcode connect}.
 * @param peer Who may connect: a name or an IP address, also as text. Proxies
 * compare the address; the port, which may be left out, is a hint to them.
 * Without it (or with `0.0.0.0`) anybody may, if the proxy allows that.
 * @param options The time and the signal end with the promise; `accept` has its own.
 *
 * @throws {SocksError} when the proxy does not listen; nothing is left open then.
 * @throws {TypeError} when the arguments make no sense.
 *
 * @example
 * ```ts
 * import { serve } from "../server/serve.ts";
 * import { connect } from "./connect.ts";
 *
 * await using proxy = await serve({ port: 0 });
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 *
 * await using listener = await bind(url, "127.0.0.1");
 * await using peer = await connect(url, listener.addr); // anybody who connects there
 * await using conn = await listener.accept({ timeout: 5_000 });
 *
 * await peer.conn.write(Uint8Array.of(1, 2, 3));
 * console.log(conn.peerAddr.hostname, await conn.conn.read()); // 127.0.0.1 Uint8Array [1, 2, 3]
 * ```
 */
export async function bind(
  proxy: string | URL | ProxyConfig,
  peer: string | Endpoint = ANYBODY,
  options: ClientOptions = {},
): Promise<SocksListener> {
  const attempt = new Attempt(proxy, options);
  return await attempt.run(async () => {
    const wanted = parseTarget(peer, 0);
    const expected = await resolveTarget(attempt.proxy, wanted, attempt.lookup);
    const conn = await attempt.dial();
    const bound = await attempt.request(COMMAND.bind, expected);
    conn.keepAlive?.(); // nothing is sent until the peer comes
    return new BoundPort(attempt.proxy, conn, attempt.reachable(bound));
  });
}

class BoundPort implements SocksListener {
  readonly addr: Endpoint;
  readonly #proxy: ResolvedProxy;
  readonly #conn: Conn;
  /** Whether the connection is still ours. */
  #open = true;
  #attempt: Attempt | undefined;

  constructor(proxy: ResolvedProxy, conn: Conn, addr: Endpoint) {
    this.#proxy = proxy;
    this.#conn = conn;
    this.addr = addr;
  }

  async accept(options: AcceptOptions = {}): Promise<InboundConn> {
    if (this.#attempt || !this.#open) throw this.#over();
    const { timeout = 120_000, signal } = options;
    const conn = this.#conn;
    const attempt = new Attempt(this.#proxy, { timeout, signal, conn }, "bind");
    this.#attempt = attempt;
    return await attempt.run(async () => {
      const peer = await attempt.peer();
      this.#open = false;
      return new Inbound(conn, this.addr, peer);
    });
  }

  #over(): SocksError {
    const message = this.#attempt
      ? "the listener takes one peer only"
      : "the listener is closed";
    return new SocksError("closed", message, { phase: "bind" });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#attempt?.end(new NetError("closed", "the listener was closed"));
    this.#conn.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

class Inbound extends Tunnel implements InboundConn {
  readonly peerAddr: Endpoint;

  constructor(conn: Conn, boundAddr: Endpoint, peerAddr: Endpoint) {
    super(conn, boundAddr);
    this.peerAddr = peerAddr;
  }
}
