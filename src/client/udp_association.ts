/**
 * Datagrams through a proxy, once it has granted the association.
 *
 * @module
 */

import { type Endpoint, isIp } from "../protocol/address.ts";
import { encodeDatagram, maxPayload } from "../protocol/datagram.ts";
import { withSignal } from "../transport/dial.ts";
import { NameCache } from "../transport/name_cache.ts";
import type { AbortSignalLike } from "../transport/signal.ts";
import type {
  Address,
  Conn,
  DatagramSocket,
  Transport,
} from "../transport/transport.ts";
import type { ReceivedDatagram } from "./datagram_queue.ts";
import { SocksError, unresolved } from "./error.ts";
import type { Inbox } from "./inbox.ts";
import { type ProxyConfig, resolvesNames } from "./proxy.ts";
import { parseTarget, pickAddress } from "./target.ts";

/**
 * A way for datagrams through a proxy: an association. `for await` hands out
 * those that come, each once; breaking off does not close the association, and
 * another loop goes on where the last one stopped.
 *
 * Iterating ends behind the last datagram when the proxy has ended the
 * association, and at once after {@linkcode UdpAssociation.close}. It throws a
 * {@linkcode SocksError} with code `proxy-closed`, once, when the connection to
 * the proxy broke down instead.
 */
export interface UdpAssociation
  extends AsyncIterable<ReceivedDatagram>, AsyncDisposable {
  /** Where the proxy takes our datagrams, an IP address. */
  readonly relayAddr: Endpoint;
  /** Where our socket is bound. */
  readonly localAddr: Address;
  /**
   * How many datagrams came but were not handed out: nobody asked for them in
   * time, somebody else than the relay sent them, or they were malformed.
   * Fragments of datagrams that stayed incomplete are not counted.
   */
  readonly dropped: number;
  /** Settles when the association is over, with what broke it if it was not ended in order; never rejects. */
  readonly closed: Promise<SocksError | undefined>;
  /**
   * How many octets a datagram to this target, with or without a port, can carry: 65,507 less 10 (to
   * IPv4), 22 (to IPv6, and with `socks5:` to a name) or 7 and the name (with
   * `socks5h:`). More than 1,400 or so travel in fragments of IP, which get lost
   * easily.
   *
   * @throws {TypeError} when it is no target.
   */
  maxPayload(to: string | Endpoint): number;
  /**
   * Sends a datagram: resolves when it is on its way, which says nothing of its
   * arrival. The payload must not be changed before. With `socks5:` names are
   * resolved here, to one address, and kept for 30 seconds; other datagrams do
   * not wait for that.
   *
   * @throws {RangeError} when the payload is longer than {@linkcode maxPayload}.
   * @throws {TypeError} when it is no target, or its port is 0.
   * @throws {SocksError} with code `dns` or `address-type`, or `closed` when the
   * association is over.
   */
  send(payload: Uint8Array, to: string | Endpoint): Promise<void>;
  /** The next datagram, as the iterator has it. */
  next(): Promise<IteratorResult<ReceivedDatagram, undefined>>;
  /** Ends the association and forgets what was not handed out. Idempotent. */
  close(): void;
}

/** What an association is made of. */
export interface AssociationParts {
  readonly proxy: ProxyConfig;
  readonly transport: Transport;
  /** The connection on which it was granted: the association lasts as long. */
  readonly conn: Conn;
  readonly socket: DatagramSocket;
  readonly relay: Address;
  readonly inbox: Inbox;
}

/** Milliseconds for which the address of a name is kept. */
const NAME_LIFETIME = 30_000;

/** A running {@linkcode UdpAssociation}. */
export class Association implements UdpAssociation {
  readonly closed: Promise<SocksError | undefined>;
  readonly #parts: AssociationParts;
  readonly #names: NameCache<string>;
  readonly #ending = new AbortController();
  #tellClosed!: (error?: SocksError) => void;

  constructor(parts: AssociationParts) {
    this.#parts = parts;
    this.closed = new Promise((resolve) => this.#tellClosed = resolve);
    const { signal } = this.#ending;
    this.#names = new NameCache((name) => resolve(parts, name, signal), {
      lifetime: NAME_LIFETIME,
    });
    parts.inbox.relay = parts.relay;
    parts.conn.keepAlive?.(); // nothing is sent there, so that else nobody notices a proxy that is gone
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
    return this.#maxPayload(parseTarget(to, 0).hostname);
  }

  #maxPayload(hostname: string): number {
    return maxPayload(this.#isResolvedHere(hostname) ? "::" : hostname);
  }

  #isResolvedHere(hostname: string): boolean {
    return !isIp(hostname) && !resolvesNames(this.#parts.proxy);
  }

  async send(payload: Uint8Array, to: string | Endpoint): Promise<void> {
    const { hostname, port } = parseTarget(to);
    if (port === 0) throw new TypeError("no datagram can be sent to port 0");
    const most = this.#maxPayload(hostname);
    if (payload.length > most) {
      const size = `${payload.length} octets`;
      throw new RangeError(`${size} don't fit: it can be ${most} at most`);
    }
    if (!this.#isResolvedHere(hostname)) this.#send(payload, hostname, port);
    else this.#send(payload, await this.#resolve(hostname), port);
  }

  #send(payload: Uint8Array, hostname: string, port: number): void {
    if (this.#over) throw this.#closedError();
    const { relay, socket } = this.#parts;
    const datagram = encodeDatagram({ hostname, port, payload });
    socket.send(datagram, relay.hostname, relay.port);
  }

  async #resolve(hostname: string): Promise<string> {
    if (this.#over) throw this.#closedError();
    return await withSignal(this.#names.get(hostname), this.#ending.signal)
      .catch((error) => {
        throw this.#over ? this.#closedError() : error;
      });
  }

  get #over(): boolean {
    return this.#ending.signal.aborted;
  }

  #closedError(): SocksError {
    const message = "the association is over";
    return new SocksError("closed", message, { phase: "udp" });
  }

  next(): Promise<IteratorResult<ReceivedDatagram, undefined>> {
    return this.#parts.inbox.next();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** What the proxy says now means nothing; that it hangs up is the end (RFC 1928 section 7). */
  async #watch(): Promise<void> {
    try {
      while (await this.#parts.conn.read() !== null) continue;
      this.#end();
    } catch (cause) {
      const message = "the connection to the proxy broke down";
      this.#end(
        new SocksError("proxy-closed", message, { phase: "udp", cause }),
      );
    }
  }

  #end(error?: SocksError): void {
    if (this.#over) return;
    this.#ending.abort();
    const { conn, inbox, socket } = this.#parts;
    conn.close();
    socket.close();
    inbox.end(error);
    this.#tellClosed(error);
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

async function resolve(
  { transport, proxy }: AssociationParts,
  name: string,
  signal: AbortSignalLike,
): Promise<string> {
  const found = await transport.lookup(name, signal).catch((cause) => {
    throw unresolved(name, "udp", cause);
  });
  return pickAddress(proxy, name, found, "udp");
}
