/**
 * Waits for the peer of a BIND on a port of this machine.
 *
 * @module
 */

import {
  type Endpoint,
  isIp,
  isLoopback,
  isUnspecified,
} from "../../protocol/address.ts";
import { withSignal } from "../../transport/dial.ts";
import { NetError } from "../../transport/errors.ts";
import {
  fromFirst,
  type LocalAddresses,
} from "../../transport/local_addresses.ts";
import { closeQuietly, resetQuietly } from "../../transport/quiet.ts";
import { AbortSwitch } from "../../transport/signal.ts";
import type { Address, Conn, Listener } from "../../transport/transport.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import {
  authorize,
  dialerOf,
  localAddressesOf,
  preferFamily,
  resolve,
  type Route,
} from "../policy/authorize.ts";
import type { CommandSession } from "./command.ts";
import { advertisedAddress, onFreePort } from "./relay_ports.ts";

/** The peer that connected. */
export interface Peer {
  readonly conn: Conn;
  /** The address for the second reply; `undefined` if no reply can carry it. */
  readonly addr: Endpoint | undefined;
}

/** Listens for the one peer of a BIND, on this machine or elsewhere. */
export interface PeerListener {
  /** Listens; resolves with the address for the first reply. */
  open(): Promise<Endpoint>;
  /** Resolves with the expected peer; rejects when the command gives up. */
  accept(): Promise<Peer>;
  /** Stops listening and resets every connection except `accepted`. Idempotent. */
  close(accepted?: Conn): void;
}

/** Where to listen, if there is a choice. */
interface Place {
  readonly local: LocalAddresses;
  readonly version: number;
}

/** How many peers of one BIND may wait for the policy at the same time. */
const MAX_PENDING = 16;

/** Listens on this machine. Unexpected peers are reset and do not end the wait. */
export class LocalPeerListener implements PeerListener {
  readonly #session: CommandSession;
  readonly #client: Conn;
  readonly #target: Endpoint;
  readonly #isIPv4Only: boolean;
  /** The addresses that may connect; `undefined` if any address may. */
  #expected: readonly string[] | undefined;
  #listener: Listener | undefined;
  /** Fires when the verdict on a peer is no longer needed. */
  readonly #closing = new AbortSwitch();
  /** Peers that the policy has not judged yet. */
  readonly #pending = new Set<Conn>();
  #accepted: Conn | undefined;
  readonly #peer: Promise<Conn>;
  #resolvePeer!: (peer: Conn) => void;

  constructor(
    session: CommandSession,
    { conn, target, dialect }: ClientRequest,
  ) {
    this.#session = session;
    this.#client = conn;
    this.#target = target;
    this.#isIPv4Only = dialect.isIPv4Only;
    this.#peer = new Promise((resolve) => this.#resolvePeer = resolve);
  }

  /**
   * Listens at an address that the rule or the user has, or else at the address from which
   * this machine reaches the expected peer. If any peer may connect, it listens at
   * the address that the client used to reach the server. Rejects if no reply can
   * carry the address of the listener.
   */
  async open(): Promise<Endpoint> {
    const { settings } = this.#session;
    const { hostname: reached } = this.#session.reachedAt(this.#client);
    const place = await this.#place() ?? reached;
    const hostname = typeof place === "string"
      ? await this.#listenAt(place)
      : await fromFirst(
        place.local,
        place.version,
        (it) => this.#listenAt(it),
      );
    if (typeof place !== "string") this.#session.via = hostname;
    const { addr } = this.#listener!;
    const shown: Address = canStandFor(reached, hostname)
      ? { hostname: reached, port: addr.port }
      : addr;
    return advertisedAddress(settings, shown);
  }

  /** Resolves with the address. */
  async #listenAt(hostname: string): Promise<string> {
    if (!this.#isReplyable(hostname)) throw this.#notReplyable(isIp(hostname));
    const { transport, relayPorts } = this.#session.settings;
    const onConn = (conn: Conn) => void this.#onConn(conn);
    this.#listener = await onFreePort(
      relayPorts,
      (port) => transport.listen({ hostname, port }, onConn),
    );
    return hostname;
  }

  #notReplyable(version: number): NetError {
    const wanted = this.#isIPv4Only ? 4 : version || "";
    const message = `no IP${
      wanted && `v${wanted}`
    } address of this machine is known for the reply`;
    return new NetError("addr-not-available", message);
  }

  /** Where to listen; `undefined` if any peer may connect and no rule has an address. */
  async #place(): Promise<string | Place | undefined> {
    const session = this.#session;
    const { stopping: signal } = session;
    if (isUnspecified(this.#target.hostname)) {
      const verdict = await authorize(session, this.#target, { signal });
      if (dialerOf(session, verdict)) throw elsewhere();
      const local = localAddressesOf(session, verdict);
      return local && this.#placeForAnyone(local);
    }
    const route = await resolve(session, this.#target, signal);
    if (route.dialer) throw elsewhere();
    return await this.#routedPlace(route);
  }

  /** In the IP version by which the client reached the server, if possible. */
  #placeForAnyone(local: LocalAddresses): Place {
    const reached = isIp(this.#client.localAddr.hostname);
    const versions = this.#isIPv4Only ? [4] : [reached, 4, 6];
    const version = versions.find((it) => it !== 0 && local.has(it));
    if (version === undefined) throw this.#notReplyable(reached);
    return { local, version };
  }

  /**
   * The listener has one IP version, so that only the addresses of that version are
   * expected: the one that the rule prefers, or else the one by which the client reached
   * the server, because its peer is likely to support that version as well. The other
   * version is used only if there is no route otherwise.
   */
  async #routedPlace(route: Route): Promise<string | Place> {
    const { family = isIp(this.#client.localAddr.hostname) || undefined } =
      route;
    const addresses = route.addresses.filter((it) =>
      !this.#isIPv4Only || isIp(it) === 4
    );
    if (family) preferFamily(addresses, family);
    let failure: unknown;
    for (const version of new Set(addresses.map(isIp))) {
      const expected = addresses.filter((it) => isIp(it) === version);
      try {
        const place = await this.#placeFor(expected[0], route);
        this.#expected = expected;
        return place;
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure ??
      new NetError("host-unreachable", "the peer has no IPv4 address");
  }

  async #placeFor(
    address: string,
    { localAddressesOf }: Route,
  ): Promise<string | Place> {
    const version = isIp(address);
    const local = localAddressesOf?.(address);
    if (!local) {
      const { transport } = this.#session.settings;
      const hostname = await transport.sourceAddress(address);
      if (isIp(hostname) === version) return hostname;
    } else if (local.has(version)) {
      return { local, version };
    }
    const what = local
      ? `the peer cannot reach ${local.text}, which the rule names`
      : "no address of this machine is known that the peer can reach";
    throw new NetError("net-unreachable", what);
  }

  /**
   * Whether a reply can carry the address of a listener so that the peer can reach it.
   * Clients replace zeros by the server address that they have connected to.
   */
  #isReplyable(hostname: string): boolean {
    const version = isIp(hostname);
    if (version === 0 || this.#isIPv4Only && version !== 4) return false;
    const { advertise } = this.#session.settings;
    return !isUnspecified(hostname) ||
      isIp(this.#client.localAddr.hostname) === version ||
      advertise.some((it) => isIp(it) === version);
  }

  async accept(): Promise<Peer> {
    const conn = await withSignal(this.#peer, this.#session.stopping);
    return { conn, addr: conn.remoteAddr };
  }

  close(accepted?: Conn): void {
    this.#closing.abort(new NetError("closed", "the port is closed"));
    closeQuietly(this.#listener);
    if (this.#accepted !== accepted) resetQuietly(this.#accepted);
    for (const conn of this.#pending) resetQuietly(conn);
  }

  async #onConn(conn: Conn): Promise<void> {
    if (this.#pending.size >= MAX_PENDING) return resetQuietly(conn);
    this.#pending.add(conn);
    const isExpected = await this.#isExpected(conn.remoteAddr);
    this.#pending.delete(conn);
    if (this.#closing.aborted || this.#accepted || !isExpected) {
      return resetQuietly(conn);
    }
    this.#accepted = conn;
    this.#resolvePeer(conn);
  }

  async #isExpected({ hostname }: Address): Promise<boolean> {
    if (hostname === "") return false; // closed already, so that its address is not known
    if (this.#expected) return this.#expected.includes(hostname);
    try {
      const options = { address: hostname, signal: this.#closing };
      const session = this.#session;
      const verdict = await authorize(session, this.#target, options);
      return dialerOf(session, verdict) === undefined;
    } catch {
      return false;
    }
  }
}

/** The policy has changed meanwhile, or answers differently each time. */
function elsewhere(): NetError {
  return new NetError(
    "denied",
    "the peer is to be reached through an upstream",
  );
}

/**
 * Whether the reply can carry one of this machine's addresses in place of all
 * of them, because the runtime does not know the route (Deno).
 */
function canStandFor(hostname: string, source: string): boolean {
  return isUnspecified(source) && isIp(hostname) === isIp(source) &&
    !isLoopback(hostname);
}
