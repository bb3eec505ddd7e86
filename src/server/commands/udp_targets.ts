/**
 * The targets of one UDP association: the routes to them, and the senders whose
 * datagrams are accepted.
 *
 * @module
 */

import { type Endpoint, isIp } from "../../protocol/address.ts";
import { encodeDatagramHeader } from "../../protocol/datagram.ts";
import { NetError } from "../../transport/errors.ts";
import { AbortSwitch } from "../../transport/signal.ts";
import type { Timeout } from "../../transport/timeouts.ts";
import type { DatagramSocket } from "../../transport/transport.ts";
import type { Settings } from "../settings.ts";
import type { CommandSession } from "./command.ts";
import type { UdpOutlet, UdpRoute } from "./udp_outlet.ts";

/** How long a route, and with it the verdict of the policy, is valid, in milliseconds. */
const ROUTE_LIFETIME = 30_000;
/** How long a target without a route is not tried again, in milliseconds. */
const FAILURE_LIFETIME = 3_000;

/** One target. */
export interface UdpTarget extends Endpoint {
  /** The header of the client's last datagram to it, as it was sent. */
  header: Uint8Array;
  /** Payloads that wait until the route is known. */
  waiting: Uint8Array[] | undefined;
  /** The hostname to send to; `""` without a route. */
  address: string;
  /** The socket to send from; `undefined` without a route. */
  socket: Pick<DatagramSocket, "send"> | undefined;
}

interface Entry extends UdpTarget {
  readonly key: string;
  /** The address that answers come from; `""` without a route. */
  source: string;
  /** The settings under which the route was found, while it is valid. */
  judgedBy: Settings | undefined;
  timeout: Timeout | undefined;
}

/** An address that answers of some targets come from. */
interface Source {
  /** How many targets it has. */
  targets: number;
  /** The sender of the last datagram from it, and the header for that sender. */
  hostname: string;
  port: number;
  header: Uint8Array;
}

/** The source of targets whose addresses only the dialer resolves. It is not a valid hostname. */
const ANY_SOURCE = "*";

/** How many names may be resolved at a time; datagrams to more names are dropped. */
const MAX_RESOLVING = 64;
/** The same for addresses, if the policy is slow. */
const MAX_JUDGING = 1_024;

const NOTHING = new Uint8Array(0);

/**
 * Keeps the `limits.targetsPerAssociation` most recently used targets. Datagrams
 * are accepted from their addresses only, from any port. While one of them is a
 * name that a dialer resolves, they are accepted from any address, because the
 * addresses of the name are not known.
 */
export class UdpTargets {
  readonly #session: CommandSession;
  readonly #outlet: UdpOutlet;
  readonly #onReady: (target: UdpTarget, payloads: Uint8Array[]) => void;
  /** In the order of their last {@linkcode get}. */
  readonly #entries = new Map<string, Entry>();
  readonly #sources = new Map<string, Source>();
  #resolving = 0;
  #last: Entry | undefined;
  readonly #closing = new AbortSwitch();

  /** Calls `onReady` with the payloads that waited for a target, even if it has no route. */
  constructor(
    session: CommandSession,
    outlet: UdpOutlet,
    onReady: (target: UdpTarget, payloads: Uint8Array[]) => void,
  ) {
    this.#session = session;
    this.#outlet = outlet;
    this.#onReady = onReady;
  }

  /** The target of the last {@linkcode get}, while its route is valid. */
  get last(): UdpTarget | undefined {
    const last = this.#last;
    return last?.judgedBy === this.#session.settings ? last : undefined;
  }

  /** The target with this name or address, new or known. */
  get({ hostname, port }: Endpoint): UdpTarget {
    const key = `${port} ${hostname}`;
    let entry = this.#entries.get(key);
    if (entry) this.#entries.delete(key);
    else entry = newEntry(key, hostname, port);
    this.#entries.set(key, entry);
    while (
      this.#entries.size > this.#session.settings.limits.targetsPerAssociation
    ) {
      this.#forgetOldest(); // several if the limit has become lower
    }
    if (entry.judgedBy !== this.#session.settings) this.#refresh(entry);
    this.#last = entry;
    return entry;
  }

  /** The header for a datagram from this sender; `undefined` if it is not accepted. */
  headerOf(hostname: string, port: number): Uint8Array | undefined {
    return this.headerOfKnown(hostname, port) ??
      this.#headerOfAny(hostname, port);
  }

  /** The same, but only for a sender that has the address of a target. */
  headerOfKnown(hostname: string, port: number): Uint8Array | undefined {
    const source = this.#sources.get(hostname);
    if (!source) return undefined;
    if (source.port !== port) setSender(source, hostname, port);
    return source.header;
  }

  #headerOfAny(hostname: string, port: number): Uint8Array | undefined {
    const source = this.#sources.get(ANY_SOURCE);
    if (!source || hostname === "") return undefined;
    if (source.port !== port || source.hostname !== hostname) {
      setSender(source, hostname, port);
    }
    return source.header;
  }

  /** Closes the outlet, and drops the waiting payloads. */
  close(): void {
    this.#closing.abort(new NetError("closed", "the association is closed"));
    this.#last = undefined;
    for (const entry of this.#entries.values()) entry.timeout?.cancel();
    this.#outlet.close();
  }

  /** Forgets the least recently used target, with the payloads that wait for it. */
  #forgetOldest(): void {
    const [oldest] = this.#entries.values();
    this.#entries.delete(oldest.key);
    oldest.timeout?.cancel();
    this.#setRoute(oldest, undefined);
    this.#settle(oldest);
  }

  #refresh(entry: Entry): void {
    const { settings } = this.#session;
    entry.timeout?.cancel();
    entry.socket = undefined; // the old route is not valid any more
    const route = this.#outlet.routeAtOnce(entry.hostname);
    if (!route) {
      const most = isIp(entry.hostname) ? MAX_JUDGING : MAX_RESOLVING;
      if (this.#resolving < most) return void this.#resolve(entry, settings);
      entry.judgedBy = undefined;
      return this.#settle(entry); // no room to wait
    }
    entry.judgedBy = settings;
    this.#setRoute(entry, route);
    this.#settle(entry);
  }

  async #resolve(entry: Entry, settings: Settings): Promise<void> {
    entry.judgedBy = settings;
    entry.waiting ??= [];
    this.#resolving++;
    const route = await this.#outlet.route(entry, this.#closing);
    this.#resolving--;
    if (this.#closing.aborted || this.#entries.get(entry.key) !== entry) return;
    if (entry.judgedBy !== settings) return; // it is being resolved again
    this.#setRoute(entry, route);
    entry.timeout = settings.clock.startTimeout(
      route ? ROUTE_LIFETIME : FAILURE_LIFETIME,
      () => entry.judgedBy = undefined,
    );
    this.#settle(entry);
  }

  /** Returns the waiting payloads to the relay. */
  #settle(entry: Entry): void {
    const { waiting } = entry;
    entry.waiting = undefined;
    if (waiting) this.#onReady(entry, waiting);
  }

  #setRoute(entry: Entry, route: UdpRoute | undefined): void {
    entry.socket = route?.socket;
    entry.address = route?.address ?? "";
    const source = route ? route.source ?? ANY_SOURCE : "";
    if (entry.source === source) return;
    const before = this.#sources.get(entry.source);
    if (before && --before.targets === 0) this.#sources.delete(entry.source);
    entry.source = source;
    if (source === "") return;
    const known = this.#sources.get(source);
    if (known) known.targets++;
    else this.#sources.set(source, newSource());
  }
}

function newEntry(key: string, hostname: string, port: number): Entry {
  return {
    key,
    hostname,
    port,
    header: NOTHING,
    waiting: undefined,
    address: "",
    source: "",
    socket: undefined,
    judgedBy: undefined,
    timeout: undefined,
  };
}

function newSource(): Source {
  return { targets: 1, hostname: "", port: -1, header: NOTHING };
}

function setSender(source: Source, hostname: string, port: number): void {
  source.hostname = hostname;
  source.port = port;
  source.header = encodeDatagramHeader({ hostname, port });
}
