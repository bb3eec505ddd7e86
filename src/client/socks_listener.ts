/**
 * Ports that a proxy has opened for one peer.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { checkKeys } from "../transport/check_keys.ts";
import { NetError } from "../transport/errors.ts";
import { closeQuietly } from "../transport/quiet.ts";
import type { Conn } from "../transport/transport.ts";
import type { Attempt } from "./attempt.ts";
import { SocksError } from "./error.ts";
import { type SocksConn, Tunnel } from "./socks_conn.ts";

/** Bounds of a wait for the peer. */
export interface AcceptOptions {
  /**
   * Ends the wait and closes the listener; the rejection's code is `aborted`, or
   * `timeout` for `AbortSignal.timeout()`.
   */
  readonly signal?: AbortSignal;
  /**
   * Milliseconds, not negative; 0 means no limit. Proxies have their own limit, often
   * one minute, and report when it is reached.
   *
   * @default {120_000}
   */
  readonly timeout?: number;
}

/** A port that a proxy has opened for one peer. */
export interface SocksListener extends AsyncDisposable {
  /**
   * The address that the peer connects to. If the proxy reports `0.0.0.0` or
   * `::`, this is the address of the proxy itself, which may be a name.
   */
  readonly addr: Endpoint;
  /**
   * Waits for the peer, which may have connected long before. A BIND is for a
   * single connection: a second call rejects with code `closed`.
   *
   * @throws {SocksError} when no peer comes; the listener is closed then. The
   * code is `rejected` when the proxy reports so, for example because its time
   * limit is reached or because another peer than the expected one connected.
   * @throws {TypeError} when an option is invalid; the listener is closed then, too.
   */
  accept(options?: AcceptOptions): Promise<InboundConn>;
  /**
   * Closes the port; a pending `accept` rejects with code `closed`. The accepted
   * connection stays open. Idempotent.
   */
  close(): void;
}

/** A connection that a peer has made to a {@linkcode SocksListener}. */
export interface InboundConn extends SocksConn {
  /** The address of the peer, as the proxy reports it. */
  readonly peerAddr: Endpoint;
}

/** A granted {@linkcode SocksListener}. */
export class BoundPort implements SocksListener {
  readonly addr: Endpoint;
  readonly #binding: Attempt;
  readonly #conn: Conn;
  /** Whether the connection still belongs to the listener. */
  #open = true;
  #accepting: Attempt | undefined;

  /** Takes the attempt that was granted the port, and its connection. */
  constructor(binding: Attempt, conn: Conn, addr: Endpoint) {
    this.#binding = binding;
    this.#conn = conn;
    this.addr = addr;
  }

  async accept(options: AcceptOptions = {}): Promise<InboundConn> {
    if (this.#accepting || !this.#open) throw this.#closedError();
    this.#checkOptions(options);
    const { timeout = 120_000, signal } = options;
    const conn = this.#conn;
    const attempt = this.#binding.next("bind", { timeout, signal, conn });
    this.#accepting = attempt;
    return await attempt.run(async () => {
      const peerAddr = await attempt.secondReply();
      this.#open = false;
      return Object.assign(new Tunnel(conn, this.addr), { peerAddr });
    });
  }

  #checkOptions(options: AcceptOptions): void {
    try {
      checkKeys(options, ["signal", "timeout"], "the options of accept()");
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #closedError(): SocksError {
    const message = this.#accepting
      ? "the listener accepts a single peer"
      : "the listener is closed";
    return new SocksError("closed", message, { phase: "bind" });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#accepting?.end(new NetError("closed", "the listener was closed"));
    closeQuietly(this.#conn);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
