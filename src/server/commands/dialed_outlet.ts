/**
 * Sends the datagrams of an association through a dialer.
 *
 * @module
 */

import {
  canonicalHostname,
  type Endpoint,
  isIp,
  unmapIp,
} from "../../protocol/address.ts";
import { isPort } from "../../protocol/octets.ts";
import { withSignal } from "../../transport/dial.ts";
import { closeQuietly } from "../../transport/quiet.ts";
import type { AbortSignalLike } from "../../transport/signal.ts";
import type { OnDatagram } from "../../transport/transport.ts";
import type { DialedAssociation, Dialer } from "../dialer.ts";
import { dialledAddress, resolve } from "../policy/authorize.ts";
import type { CommandSession } from "./command.ts";
import { checkedAssociation } from "./dialed.ts";
import type { RoutedTarget, UdpOutlet, UdpRoute } from "./udp_outlet.ts";

/** A dialer with a UDP ASSOCIATE. */
export type UdpDialer = Dialer & Required<Pick<Dialer, "udpAssociate">>;

/** Whether a dialer has a UDP ASSOCIATE. */
export function hasUdpAssociate(dialer: Dialer): dialer is UdpDialer {
  return typeof dialer.udpAssociate === "function";
}

/** How many bytes may wait in unsettled calls of `send()`: as many as in a socket. */
const MAX_UNSENT = 256 * 1024;
/** The cost of a waiting datagram beside its payload. */
const OVERHEAD = 256;

/** Uses one upstream association for all targets. Names are not resolved here. */
export class DialedOutlet implements UdpOutlet {
  readonly #session: CommandSession;
  readonly #dialer: UdpDialer;
  readonly #onDatagram: OnDatagram;
  #association: DialedAssociation | undefined;
  #unsent = 0;
  #closed = false;

  constructor(
    session: CommandSession,
    dialer: UdpDialer,
    onDatagram: OnDatagram,
  ) {
    this.#session = session;
    this.#dialer = dialer;
    this.#onDatagram = onDatagram;
  }

  /** Opens the association; rejects as the dialer does. */
  async open(): Promise<void> {
    const session = this.#session;
    const { stopping } = session;
    const context = { session, signal: stopping.signal };
    const opening = withSignal(
      Promise.resolve(this.#dialer.udpAssociate(context)),
      stopping,
      closeQuietly,
    );
    this.#association = checkedAssociation(await opening);
    if (this.#closed) closeQuietly(this.#association);
  }

  /**
   * Passes on received datagrams. Resolves when the association ends, and
   * rejects when it fails.
   */
  async receive(): Promise<void> {
    for await (const [payload, from] of this.#association!) {
      if (this.#closed) return;
      if (!(payload instanceof Uint8Array)) {
        throw new TypeError("the dialer's association yields no datagrams");
      }
      this.#onDatagram(payload, senderOf(from), from.port);
    }
  }

  routeAtOnce(hostname: string): UdpRoute | undefined {
    const { settings, exposed } = this.#session;
    if (settings.policy || exposed) return undefined;
    return this.routeTo(hostname);
  }

  async route(
    target: RoutedTarget,
    signal: AbortSignalLike,
  ): Promise<UdpRoute | undefined> {
    try {
      const route = await resolve(this.#session, target, signal);
      // The association continues when an update has replaced the dialer.
      const { dial } = this.#session.settings;
      const isHere = route.dialer === (dial ?? this.#dialer);
      return isHere ? this.routeTo(route.addresses[0]) : undefined;
    } catch {
      return undefined; // not allowed: datagrams to it are dropped
    }
  }

  /** The route to an address, or to a name that the dialer resolves. */
  routeTo(hostname: string): UdpRoute {
    const source = isIp(hostname) ? dialledAddress(hostname) : undefined;
    return { address: hostname, source, socket: this };
  }

  /** As `DatagramSocket.send()`. */
  send(payload: Uint8Array, hostname: string, port: number): void {
    const size = payload.length + OVERHEAD;
    if (this.#closed || this.#unsent + size > MAX_UNSENT) return;
    this.#unsent += size;
    // A copy, because others share the memory of a received datagram.
    void this.#send(new Uint8Array(payload), { hostname, port });
  }

  async #send(payload: Uint8Array, to: Endpoint): Promise<void> {
    const size = payload.length + OVERHEAD;
    try {
      await this.#association!.send(payload, to);
    } catch {
      // The datagram is lost. If the association has failed, receive() rejects.
    }
    this.#unsent -= size;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.#association);
  }
}

/** The canonical hostname of a sender; `""` for a sender that no header can name. */
function senderOf({ hostname, port }: Endpoint): string {
  const known = isPort(port) ? canonicalHostname(hostname) : undefined;
  return known === undefined ? "" : unmapIp(known);
}
