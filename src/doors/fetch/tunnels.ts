/**
 * Connections of HTTP clients, and those to their targets through proxies.
 *
 * @module
 */

import type { Endpoint } from "../../protocol/address.ts";
import { withSignal } from "../../transport/dial.ts";
import { closeQuietly, resetQuietly } from "../../transport/quiet.ts";
import type { Conn, Relay, Transport } from "../../transport/transport.ts";

/** Connects to a target until the signal is aborted. */
export type Connect = (
  target: Endpoint,
  options: { readonly signal: AbortSignal },
) => Promise<Conn>;

/** Connects HTTP clients to targets. */
export class Tunnels {
  readonly #transport: Transport;
  readonly #connect: Connect;
  readonly #onError: (error: unknown, target: Endpoint) => void;
  /** Those that wait for a request or a target. */
  readonly #opening = new Set<AbortController>();
  readonly #relays = new Set<Relay>();
  #closed = false;

  /** `onError` is called when a target cannot be reached. */
  constructor(
    transport: Transport,
    connect: Connect,
    onError: (error: unknown, target: Endpoint) => void,
  ) {
    this.#transport = transport;
    this.#connect = connect;
    this.#onError = onError;
  }

  /**
   * Passes on everything; FINs and resets, too. If the target cannot be reached, the
   * client's connection is reset. Never rejects.
   */
  async serve(client: Conn, target: Endpoint): Promise<void> {
    if (this.#closed) return resetQuietly(client);
    const gone = new AbortController();
    this.#opening.add(gone);
    try {
      const conn = await this.#open(client, target, gone);
      this.#opening.delete(gone);
      await this.#relay(client, conn);
    } catch (error) {
      if (!gone.signal.aborted) this.#onError(error, target);
      resetQuietly(client);
    } finally {
      this.#opening.delete(gone);
    }
  }

  /** Waits for the request, and connects to the target while its client waits. */
  async #open(
    client: Conn,
    target: Endpoint,
    gone: AbortController,
  ): Promise<Conn> {
    const stop = () => gone.abort();
    const { signal } = gone;
    const head = await withSignal(client.read(), signal);
    if (!head) throw stop();
    // No HTTP client sends FIN and waits: it has given up.
    client.peek().then((more) => more || stop(), stop);
    const conn = await withSignal<Conn>(
      this.#connect(target, { signal }),
      signal,
      closeQuietly,
    );
    client.unread(head);
    return conn;
  }

  async #relay(client: Conn, conn: Conn): Promise<void> {
    const relay = this.#transport.relay(client, conn);
    if (this.#closed) relay.abort(); // after connect() had resolved
    this.#relays.add(relay);
    await relay.done;
    this.#relays.delete(relay);
  }

  /** Closes all connections. */
  close(): void {
    this.#closed = true;
    for (const it of this.#opening) it.abort();
    for (const it of this.#relays) it.abort();
  }
}
