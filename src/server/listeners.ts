/**
 * The listeners of a server: one, which may speak TLS, and one beside it that does not.
 *
 * @module
 */

import { NetError } from "../transport/errors.ts";
import type {
  Address,
  Conn,
  Listener,
  ListenOptions,
} from "../transport/transport.ts";
import type { AcceptHook } from "./accept.ts";
import { checkTlsKept } from "./settings/resolve_tls.ts";
import type { ListenSettings, Settings } from "./settings.ts";

const NO_ADDRESS: Address = { hostname: "0.0.0.0", port: 0 };

/** The server that listeners belong to. */
export interface ListenersOwner {
  readonly settings: Settings;
  /** Takes a connection; `startTls` starts TLS on it, if its port speaks TLS. */
  accepted(conn: Conn, startTls: ((conn: Conn) => Conn) | undefined): void;
  /** Called when accepting a connection has failed. */
  acceptFailed(error: NetError): void;
}

/** The open listeners of a server, if it listens. */
export class Listeners {
  readonly #owner: ListenersOwner;
  #main: Listener | undefined;
  #plain: Listener | undefined;

  constructor(owner: ListenersOwner) {
    this.#owner = owner;
  }

  /** The address of the listener; zeros if there is none. */
  get addr(): Address {
    return this.#main?.addr ?? NO_ADDRESS;
  }

  /** The address of the listener that does not speak TLS, if there is one. */
  get plainAddr(): Address | undefined {
    return this.#plain?.addr;
  }

  /** Opens the listeners. If it rejects, none is open. */
  async open({ tls, plainPort, ...plain }: ListenSettings): Promise<void> {
    this.#main = await this.#open({ ...plain, tls });
    if (plainPort === undefined) return;
    try {
      this.#plain = await this.#open({ ...plain, port: plainPort });
    } catch (error) {
      await this.#main.close();
      throw error;
    }
  }

  /**
   * Changes the certificates if they differ in these settings.
   *
   * @throws {OptionError} if TLS would be added or removed.
   */
  update({ listen, proxyHeader }: Settings): void {
    const now = this.#owner.settings.listen?.tls;
    const next = listen?.tls;
    checkTlsKept(now, next);
    if (!next || !this.#main) return;
    checkTlsOf(this.#main, proxyHeader);
    if (next !== now) this.#main.setTls?.(next);
  }

  /** Stops listening. */
  async close(): Promise<void> {
    await this.#main?.close();
    await this.#plain?.close();
  }

  async #open(where: ListenOptions): Promise<Listener> {
    const { transport, proxyHeader } = this.#owner.settings;
    const isTls = where.tls !== undefined;
    const ready: { listener?: Listener } = {};
    const startTls = isTls
      ? (conn: Conn) => startTlsOn(conn, ready.listener)
      : undefined;
    const listener = await transport.listen(
      isTls ? { ...where, startsInClear: true } : where,
      (conn) => this.#owner.accepted(conn, startTls),
      (error) => this.#owner.acceptFailed(error),
    );
    ready.listener = listener;
    if (!isTls) return listener;
    try {
      checkTlsOf(listener, proxyHeader);
    } catch (error) {
      await listener.close();
      throw error;
    }
    return listener;
  }
}

/**
 * Throws unless a listener speaks TLS, after a header if there is one: otherwise it would
 * accept everyone in clear, or take the header of everyone.
 */
function checkTlsOf(
  { setTls, startTls }: Listener,
  proxyHeader: AcceptHook | undefined,
): void {
  if (!setTls) {
    throw new NetError("invalid", "the transport does not support TLS");
  }
  if (!proxyHeader || startTls) return;
  const what = "TLS after a PROXY header (proxyFrom)";
  throw new NetError("invalid", `the transport does not support ${what}`);
}

/** Transports without a `startTls` have started TLS already. */
function startTlsOn(conn: Conn, listener: Listener | undefined): Conn {
  if (!listener) throw new NetError("aborted", "the server is not ready yet");
  return listener.startTls?.(conn) ?? conn;
}
