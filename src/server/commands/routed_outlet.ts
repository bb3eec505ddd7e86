/**
 * Sends the datagrams of an association in the ways that the policy chooses for each target.
 *
 * @module
 */

import { closeQuietly } from "../../transport/quiet.ts";
import type { AbortSignalLike } from "../../transport/signal.ts";
import type { OnDatagram } from "../../transport/transport.ts";
import type { Dialer } from "../dialer.ts";
import { resolve } from "../policy/authorize.ts";
import type { CommandSession } from "./command.ts";
import { DialedOutlet, hasUdpAssociate } from "./dialed_outlet.ts";
import type { DirectOutlet } from "./direct_outlet.ts";
import type { RoutedTarget, UdpOutlet, UdpRoute } from "./udp_outlet.ts";

/** How long a dialer whose association was refused is not asked again, in milliseconds. */
const PAUSE = 3_000;

/**
 * Opens an association of each dialer when a target needs it, and that of the option `dial`
 * at once.
 */
export class RoutedOutlet implements UdpOutlet {
  readonly #session: CommandSession;
  readonly #direct: DirectOutlet;
  readonly #onDatagram: OnDatagram;
  readonly #opening = new Map<Dialer, Promise<DialedOutlet>>();
  readonly #open = new Set<DialedOutlet>();
  /** When the last attempt failed. */
  readonly #failures = new Map<Dialer, number>();
  #default: DialedOutlet | undefined;
  #closed = false;

  /** `onDatagram` gets the datagrams of dialers. */
  constructor(
    session: CommandSession,
    direct: DirectOutlet,
    onDatagram: OnDatagram,
  ) {
    this.#session = session;
    this.#direct = direct;
    this.#onDatagram = onDatagram;
  }

  /**
   * Rejects if the association of the option `dial` cannot be opened, unless the dialer has
   * no datagrams and there are other ways.
   */
  async open(): Promise<void> {
    const { dial, upstreams } = this.#session.settings;
    if (!dial || !hasUdpAssociate(dial)) return;
    const outlet = new DialedOutlet(this.#session, dial, this.#onDatagram);
    this.#open.add(outlet);
    try {
      await outlet.open();
    } catch (error) {
      const { code } = (error ?? {}) as { code?: unknown };
      if (code === "unsupported" && upstreams.size > 0) return;
      throw error;
    }
    this.#default = outlet;
    this.#opening.set(dial, Promise.resolve(outlet));
  }

  /** Resolves or rejects as the association of the option `dial` ends; never without it. */
  receive(): Promise<void> {
    return this.#default?.receive() ?? new Promise(() => {});
  }

  routeAtOnce(): undefined {
    return undefined;
  }

  async route(
    target: RoutedTarget,
    signal: AbortSignalLike,
  ): Promise<UdpRoute | undefined> {
    try {
      const route = await resolve(this.#session, target, signal);
      const { dialer, addresses } = route;
      if (!dialer) return await this.#direct.routeBy(route, target);
      const outlet = await this.#outletOf(dialer);
      const isKnown = addresses.includes(target.address);
      return outlet.routeTo(isKnown ? target.address : addresses[0]);
    } catch {
      return undefined; // datagrams to it are dropped
    }
  }

  async #outletOf(dialer: Dialer): Promise<DialedOutlet> {
    const failed = this.#failures.get(dialer) ?? -Infinity;
    const { clock } = this.#session.settings;
    if (clock.now() - failed < PAUSE) throw new TypeError("it failed before");
    let opening = this.#opening.get(dialer);
    if (!opening) this.#opening.set(dialer, opening = this.#openOne(dialer));
    return await opening;
  }

  async #openOne(dialer: Dialer): Promise<DialedOutlet> {
    const { clock } = this.#session.settings;
    let outlet: DialedOutlet | undefined;
    try {
      if (this.#closed) throw new TypeError("the association is closed");
      if (!hasUdpAssociate(dialer)) throw new TypeError("it has no datagrams");
      outlet = new DialedOutlet(this.#session, dialer, this.#onDatagram);
      this.#open.add(outlet);
      await outlet.open();
      this.#failures.delete(dialer);
      void this.#receiveFrom(dialer, outlet);
      return outlet;
    } catch (error) {
      this.#opening.delete(dialer); // a later target tries it again
      if (outlet) {
        this.#open.delete(outlet);
        this.#failures.set(dialer, clock.now());
      }
      throw error;
    }
  }

  /** The next target opens another association when this one has ended. */
  async #receiveFrom(dialer: Dialer, outlet: DialedOutlet): Promise<void> {
    try {
      await outlet.receive();
    } catch {
      // Nothing depends on this association alone.
    }
    this.#opening.delete(dialer);
    this.#open.delete(outlet);
    closeQuietly(outlet);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#direct.close();
    for (const outlet of this.#open) outlet.close();
  }
}
