/**
 * Sends the datagrams of an association from sockets of this machine.
 *
 * @module
 */

import { isIp } from "../../protocol/address.ts";
import type { AbortSignalLike } from "../../transport/signal.ts";
import { fromFirst } from "../../transport/local_addresses.ts";
import type { DatagramSocket, OnDatagram } from "../../transport/transport.ts";
import {
  dialledAddress,
  isUnrestricted,
  resolve,
  type Route,
} from "../policy/authorize.ts";
import type { CommandSession } from "./command.ts";
import type { RoutedTarget, UdpOutlet, UdpRoute } from "./udp_outlet.ts";

/** All addresses of this machine, by IP version. */
const ANY: Readonly<Record<number, string>> = { 4: "0.0.0.0", 6: "::" };

/**
 * Opens one socket for each IP version that a target needs, and one for each
 * address that a rule names.
 */
export class DirectOutlet implements UdpOutlet {
  readonly #session: CommandSession;
  readonly #onDatagram: OnDatagram;
  /** By the address that they are bound to. */
  readonly #sockets = new Map<string, DatagramSocket>();
  readonly #opening = new Map<string, Promise<DatagramSocket>>();
  #closed = false;

  constructor(session: CommandSession, onDatagram: OnDatagram) {
    this.#session = session;
    this.#onDatagram = onDatagram;
  }

  routeAtOnce(hostname: string): UdpRoute | undefined {
    // An update may have set options meanwhile.
    if (!isUnrestricted(this.#session)) return undefined;
    const address = dialledAddress(hostname);
    const socket = this.#sockets.get(ANY[isIp(address)]);
    return socket && { address, source: address, socket };
  }

  /**
   * The route to the first of the target's addresses that is allowed and can be sent to.
   * The address that was used before is tried first if the name still resolves to it: a
   * conversation is with one host, but resolvers change the order with each answer.
   */
  async route(
    target: RoutedTarget,
    signal: AbortSignalLike,
  ): Promise<UdpRoute | undefined> {
    try {
      const route = await resolve(this.#session, target, signal);
      return route.dialer ? undefined : await this.routeBy(route, target);
    } catch {
      return undefined; // not allowed, or no such name: datagrams to it are dropped
    }
  }

  /** The route to a target whose addresses are reached directly. */
  async routeBy(
    { addresses, localAddressesOf }: Route,
    target: RoutedTarget,
  ): Promise<UdpRoute | undefined> {
    const last = addresses.includes(target.address) ? [target.address] : [];
    for (const address of [...last, ...addresses]) {
      const version = isIp(address);
      const local = localAddressesOf?.(address);
      const opening = local
        ? fromFirst(local, version, (it) => this.#socketVia(it))
        : this.#socketOn(ANY[version]);
      const socket = await opening.catch(() => {});
      if (socket) return { address, source: address, socket };
    }
    return undefined;
  }

  async #socketVia(hostname: string): Promise<DatagramSocket> {
    const socket = await this.#socketOn(hostname);
    this.#session.via = hostname;
    return socket;
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets.values()) socket.close();
  }

  async #socketOn(hostname: string): Promise<DatagramSocket> {
    const socket = this.#sockets.get(hostname);
    if (socket) return socket;
    let opening = this.#opening.get(hostname);
    if (!opening) this.#opening.set(hostname, opening = this.#open(hostname));
    return await opening;
  }

  async #open(hostname: string): Promise<DatagramSocket> {
    try {
      const { transport } = this.#session.settings;
      const socket = await transport.datagrams(
        { hostname, port: 0 },
        this.#onDatagram,
      );
      if (this.#closed) socket.close();
      this.#sockets.set(hostname, socket);
      return socket;
    } finally {
      this.#opening.delete(hostname);
    }
  }
}
