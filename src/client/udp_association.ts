/**
 * UDP associations: datagrams through a proxy.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { closeQuietly } from "../transport/quiet.ts";
import type { Address, Conn } from "../transport/transport.ts";
import type { ReceivedDatagram } from "./datagram_queue.ts";
import { SocksError } from "./error.ts";
import type { Inbox } from "./inbox.ts";
import { Outbox, type OutboxParts } from "./outbox.ts";

/**
 * A UDP association. `for await` delivers the datagrams that arrive, each one
 * once; breaking out of the loop does not close the association, and another
 * loop continues where the last one stopped.
 *
 * Iteration ends after the last datagram when the proxy has ended the
 * association, and at once after {@linkcode UdpAssociation.close}. It throws a
 * {@linkcode SocksError} with code `proxy-closed`, once, when the connection to
 * the proxy failed instead.
 */
export interface UdpAssociation
  extends AsyncIterable<ReceivedDatagram>, AsyncDisposable {
  /** The address at which the proxy receives the datagrams, an IP address. */
  readonly relayAddr: Endpoint;
  /** The address of the local socket. */
  readonly localAddr: Address;
  /**
   * How many datagrams arrived and were not delivered: the queue was full, they
   * came from another sender than the relay, they were malformed, or the
   * authentication method could not unwrap them. Fragments of datagrams that
   * stayed incomplete are not counted.
   */
  readonly dropped: number;
  /**
   * Resolves when the association has ended, with the error if the connection to the
   * proxy failed. Never rejects.
   */
  readonly closed: Promise<SocksError | undefined>;
  /**
   * How many bytes a datagram to this target, with or without a port, can carry:
   * 65,507 less 10 (to IPv4), 22 (to IPv6, and with `socks5:` to a name) or 7
   * and the name (with `socks5h:`), and less the overhead of an authentication
   * method that wraps datagrams. More than about 1,400 bytes travel in IP
   * fragments, which are often lost.
   *
   * @throws {TypeError} when the target is invalid.
   */
  maxPayload(to: string | Endpoint): number;
  /**
   * Sends a datagram. Resolves when it has been sent, which does not mean that it
   * arrives; the payload must not be changed before. With `socks5:` this client
   * resolves names, each to one address, and keeps it for 30 seconds; other
   * datagrams do not wait for that.
   *
   * @throws {RangeError} when the payload is longer than {@linkcode maxPayload}.
   * @throws {TypeError} when the target is invalid, or its port is 0.
   * @throws {SocksError} with code `dns` or `address-type`, or `closed` when the
   * association is over.
   */
  send(payload: Uint8Array, to: string | Endpoint): Promise<void>;
  /** The next datagram, as from the iterator. */
  next(): Promise<IteratorResult<ReceivedDatagram, undefined>>;
  /** Ends the association and drops the datagrams that were not delivered. Idempotent. */
  close(): void;
}

/** The parts of an {@linkcode Association}. */
export interface AssociationParts extends OutboxParts {
  /** The connection on which it was granted: the association lasts as long. */
  readonly conn: Conn;
  readonly inbox: Inbox;
}

/** A granted {@linkcode UdpAssociation}. */
export class Association implements UdpAssociation {
  readonly closed: Promise<SocksError | undefined>;
  readonly #parts: AssociationParts;
  readonly #outbox: Outbox;
  #over = false;
  #resolveClosed!: (error?: SocksError) => void;

  constructor(parts: AssociationParts) {
    this.#parts = parts;
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
    this.#outbox = new Outbox(parts);
    parts.inbox.acceptFrom(parts.relay, parts.wrapper);
    this.#watch();
  }

  get relayAddr(): Endpoint {
    return this.#parts.relay;
  }

  get localAddr(): Address {
    return this.#parts.socket.addr;
  }

  get dropped(): number {
    return this.#parts.inbox.dropped;
  }

  maxPayload(to: string | Endpoint): number {
    return this.#outbox.maxPayload(to);
  }

  send(payload: Uint8Array, to: string | Endpoint): Promise<void> {
    return this.#outbox.send(payload, to);
  }

  next(): Promise<IteratorResult<ReceivedDatagram, undefined>> {
    return this.#parts.inbox.next();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * Ignores everything that the proxy sends now; the end of its connection ends the
   * association (RFC 1928 section 7).
   */
  async #watch(): Promise<void> {
    try {
      while (await this.#parts.conn.read() !== null) continue;
      this.#end();
    } catch (cause) {
      const message = "the connection to the proxy failed";
      this.#end(
        new SocksError("proxy-closed", message, { phase: "udp", cause }),
      );
    }
  }

  #end(error?: SocksError): void {
    if (this.#over) return;
    this.#over = true;
    const { conn, inbox } = this.#parts;
    closeQuietly(conn);
    this.#outbox.close();
    inbox.end(error);
    this.#resolveClosed(error);
  }

  close(): void {
    this.#end();
    this.#parts.inbox.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
