/**
 * Datagrams to a relay: encoded and wrapped, their names resolved where the
 * protocol requires it.
 *
 * @module
 */

import { type Endpoint, isIp } from "../protocol/address.ts";
import {
  type DatagramWrapper,
  encodeDatagram,
  maxPayload,
} from "../protocol/datagram.ts";
import { withSignal } from "../transport/dial.ts";
import { NameCache } from "../transport/name_cache.ts";
import { type AbortSignalLike, AbortSwitch } from "../transport/signal.ts";
import type {
  Address,
  DatagramSocket,
  Transport,
} from "../transport/transport.ts";
import type { ClientDialect } from "./dialect.ts";
import { SocksError } from "./error.ts";
import { parseTarget, pickAddress } from "./target.ts";
import { unresolvedError } from "./to_socks_error.ts";

/** The parts of an {@linkcode Outbox}. */
export interface OutboxParts {
  readonly dialect: ClientDialect;
  readonly transport: Transport;
  readonly socket: DatagramSocket;
  readonly relay: Address;
  readonly wrapper: DatagramWrapper | undefined;
}

/** How long the address of a name is kept, in milliseconds. */
const NAME_LIFETIME = 30_000;

/** Sends datagrams to one relay. */
export class Outbox {
  readonly #parts: OutboxParts;
  readonly #names: NameCache<string>;
  readonly #closing = new AbortSwitch();

  constructor(parts: OutboxParts) {
    this.#parts = parts;
    const lookUp = (name: string, signal: AbortSignalLike) =>
      resolve(parts, name, signal);
    const { clock } = parts.transport;
    this.#names = new NameCache(lookUp, { lifetime: NAME_LIFETIME, clock });
  }

  /** As in `UdpAssociation`. */
  maxPayload(to: string | Endpoint): number {
    return this.#maxPayload(parseTarget(to, 0).hostname);
  }

  #maxPayload(hostname: string): number {
    const plain = maxPayload(this.#isResolvedHere(hostname) ? "::" : hostname);
    return plain - (this.#parts.wrapper?.overhead ?? 0);
  }

  #isResolvedHere(hostname: string): boolean {
    return !isIp(hostname) && !this.#parts.dialect.resolvesNames;
  }

  /** As in `UdpAssociation`. */
  async send(payload: Uint8Array, to: string | Endpoint): Promise<void> {
    const { hostname, port } = parseTarget(to);
    if (port === 0) throw new TypeError("cannot send a datagram to port 0");
    const most = this.#maxPayload(hostname);
    if (payload.length > most) {
      throw new RangeError(
        `a payload of ${payload.length} bytes is too long: the limit is ${most}`,
      );
    }
    if (!this.#isResolvedHere(hostname)) this.#send(payload, hostname, port);
    else this.#send(payload, await this.#resolve(hostname), port);
  }

  #send(payload: Uint8Array, hostname: string, port: number): void {
    if (this.#closing.aborted) throw closedError();
    const { relay, socket, wrapper } = this.#parts;
    const plain = encodeDatagram({ hostname, port, payload });
    const datagram = wrapper ? wrapper.wrap(plain) : plain;
    socket.send(datagram, relay.hostname, relay.port);
  }

  async #resolve(hostname: string): Promise<string> {
    if (this.#closing.aborted) throw closedError();
    try {
      return await withSignal(this.#names.get(hostname), this.#closing);
    } catch (error) {
      throw this.#closing.aborted ? closedError() : error;
    }
  }

  /** Ends all look-ups and the socket; `send` rejects from now on. */
  close(): void {
    this.#closing.abort(undefined);
    this.#parts.socket.close();
  }
}

function closedError(): SocksError {
  const message = "the association is over";
  return new SocksError("closed", message, { phase: "udp" });
}

async function resolve(
  { transport, dialect }: OutboxParts,
  name: string,
  signal: AbortSignalLike,
): Promise<string> {
  let found: string[];
  try {
    found = await transport.lookup(name, signal);
  } catch (error) {
    throw unresolvedError(name, "udp", error as Error);
  }
  return pickAddress(dialect, name, found, "udp");
}
