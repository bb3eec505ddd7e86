/**
 * The relay of one UDP association.
 *
 * @module
 */

import { unmapIp } from "../../protocol/address.ts";
import {
  type Datagram,
  decodeDatagram,
  MAX_DATAGRAM,
} from "../../protocol/datagram.ts";
import { toNetError } from "../../transport/errors.ts";
import { keepAliveQuietly } from "../../transport/quiet.ts";
import { RelayState } from "../../transport/relay_state.ts";
import { cut } from "../../transport/slab.ts";
import type {
  Address,
  Conn,
  DatagramSocket,
  OnDatagram,
  Relay,
} from "../../transport/transport.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import type { CommandSession } from "./command.ts";
import { DialedOutlet, hasUdpAssociate } from "./dialed_outlet.ts";
import { DirectOutlet } from "./direct_outlet.ts";
import { FragmentQueue } from "./fragment_queue.ts";
import { onFreePort } from "./relay_ports.ts";
import { RoutedOutlet } from "./routed_outlet.ts";
import { SafeWrapper } from "./safe_wrapper.ts";
import { type UdpTarget, UdpTargets } from "./udp_targets.ts";

/** How many bytes may wait until the routes to their targets are known. */
const MAX_WAITING = 64 * 1024;
/** The cost of a waiting datagram beside its payload. */
const OVERHEAD = 64;

/**
 * Relays datagrams between one client and its targets. No datagram, whatever
 * its contents, ends the association.
 */
export class UdpRelay {
  /** See {@linkcode DatagramCounts}. */
  readonly datagrams = { sent: 0, received: 0, dropped: 0 };
  readonly #session: CommandSession;
  readonly #onClosed: () => void;
  readonly #client: string;
  /** 0 until the first datagram. */
  #clientPort = 0;
  /** The port that the request names; 0 if it names none. */
  #announcedPort = 0;
  /** The socket for the client's side. */
  #socket: DatagramSocket | undefined;
  #wrapper: SafeWrapper | undefined;
  /** The most bytes of a datagram to the client before it is wrapped. */
  #maxDatagram = MAX_DATAGRAM;
  readonly #upstream: DialedOutlet | RoutedOutlet | undefined;
  readonly #targets: UdpTargets;
  #waiting = 0;
  readonly #fragments: FragmentQueue | undefined;
  #relay: RelayState | undefined;
  #closed = false;

  /** `onClosed` is called once, by {@linkcode close}. */
  constructor(session: CommandSession, onClosed: () => void) {
    this.#session = session;
    this.#onClosed = onClosed;
    this.#client = session.client.hostname;
    const { clock, dropFragments } = session.settings;
    if (!dropFragments) this.#fragments = new FragmentQueue(clock);
    this.#upstream = this.#upstreamOf(session);
    this.#targets = new UdpTargets(
      session,
      this.#upstream ?? new DirectOutlet(session, this.#fromTarget),
      (target, payloads) => this.#forwardWaiting(target, payloads),
    );
  }

  /** `undefined` if all targets are reached directly. */
  #upstreamOf(
    session: CommandSession,
  ): DialedOutlet | RoutedOutlet | undefined {
    const { dial, upstreams } = session.settings;
    if (upstreams.size > 0 || dial?.resolvesNames === false) {
      const direct = new DirectOutlet(session, this.#fromDirectTarget);
      return new RoutedOutlet(session, direct, this.#fromTarget);
    }
    if (!dial || !hasUdpAssociate(dial)) return undefined;
    return new DialedOutlet(session, dial, this.#fromTarget);
  }

  /**
   * Binds the client's side at the address that the client used to reach the
   * server.
   *
   * If the request names the client's own address, its port is only a hint: the first
   * datagram may come from another port. RFC 1928 section 4 has the client's port there,
   * but many clients send their target instead, which may be on their own machine (or
   * have the same address, behind NAT): go-tun2socks (eycorsican/go-tun2socks#136),
   * Hysteria (HyNetworks/hysteria#1582), glider (nadoo/glider#168), the client of
   * go-socks5 (things-go/go-socks5#1). Datagrams from the port of the hint are always
   * accepted, so that another client at the same address cannot shut out a client whose
   * hint is correct. Other addresses are ignored: clients send zeros or the target.
   */
  async open({ conn, target, datagrams }: ClientRequest): Promise<Address> {
    if (unmapIp(target.hostname) === this.#client) {
      this.#announcedPort = target.port;
    }
    if (datagrams) {
      this.#wrapper = new SafeWrapper(datagrams);
      this.#maxDatagram -= datagrams.overhead;
    }
    const { transport, relayPorts } = this.#session.settings;
    const { hostname } = this.#session.reachedAt(conn);
    this.#socket = await onFreePort(
      relayPorts,
      (port) => transport.datagrams({ hostname, port }, this.#fromClient),
    );
    if (this.#upstream) await this.#upstream.open();
    return this.#socket.addr;
  }

  /**
   * Relays until the client's connection or the upstream association ends.
   * Bytes on the connection are ignored.
   */
  start(control: Conn): Relay {
    const { clock, timeouts } = this.#session.settings;
    const options = { idle: timeouts.association, clock };
    // Nothing is sent on the connection, so that only this detects a dead client.
    keepAliveQuietly(control);
    const relay = this.#relay = new RelayState(control, this, options);
    relay.closesIdle = true; // nothing is cut off on the client's connection
    endWithClient(control, relay);
    if (this.#upstream) endWithUpstream(this.#upstream, relay);
    return relay;
  }

  /** Closes all sockets. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#fragments?.reset();
    this.#socket?.close();
    this.#targets.close();
    this.#onClosed();
  }

  reset(): void {
    this.close();
  }

  readonly #fromClient: OnDatagram = (received, hostname, port) => {
    const isKnown = port === this.#clientPort;
    if (hostname !== this.#client || !(isKnown || this.#mayComeFrom(port))) {
      return this.#drop();
    }
    const octets = this.#wrapper ? this.#wrapper.unwrap(received) : received;
    if (!octets) return this.#drop();
    const last = this.#targets.last; // the usual target
    if (
      isKnown && last && startsWith(octets, last.header) &&
      !this.#fragments?.waiting
    ) {
      return this.#forward(last, octets.subarray(last.header.length));
    }
    const datagram = decodeDatagram(octets);
    if (!datagram) return this.#drop();
    this.#clientPort = port;
    const fragments = this.#fragments;
    const whole = fragments ? fragments.add(datagram) : standAlone(datagram);
    if (!whole) return fragments?.waiting ? undefined : this.#drop();
    const target = this.#targets.get(whole);
    if (whole === datagram) {
      target.header = new Uint8Array(
        octets.subarray(0, octets.length - whole.payload.length),
      );
    }
    this.#forward(target, whole.payload);
  };

  /** Whether a datagram from this port of the client makes it the client's port. */
  #mayComeFrom(port: number): boolean {
    return this.#clientPort === 0 || port === this.#announcedPort;
  }

  #forward(target: UdpTarget, payload: Uint8Array): void {
    const { waiting, socket } = target;
    if (waiting) {
      const size = payload.length + OVERHEAD;
      if (this.#waiting + size > MAX_WAITING) return this.#drop();
      this.#waiting += size;
      waiting.push(new Uint8Array(payload));
      return;
    }
    if (!socket || target.port === 0) return this.#drop();
    const { rateLimiter } = this.#session;
    if (rateLimiter && !rateLimiter.tryPass(payload.length)) {
      return this.#drop();
    }
    socket.send(payload, target.address, target.port);
    this.datagrams.sent++;
    this.#count("a", payload);
  }

  #forwardWaiting(target: UdpTarget, payloads: readonly Uint8Array[]): void {
    for (const payload of payloads) {
      this.#waiting -= payload.length + OVERHEAD;
      this.#forward(target, payload);
    }
  }

  readonly #fromTarget: OnDatagram = (payload, hostname, port) =>
    this.#deliver(payload, this.#targets.headerOf(hostname, port));

  /** Of an association that also has upstreams, whose targets may answer from any address. */
  readonly #fromDirectTarget: OnDatagram = (payload, hostname, port) =>
    this.#deliver(payload, this.#targets.headerOfKnown(hostname, port));

  #deliver(payload: Uint8Array, header: Uint8Array | undefined): void {
    const size = (header?.length ?? 0) + payload.length;
    if (!header || size > this.#maxDatagram) return this.#drop();
    const { rateLimiter } = this.#session;
    if (rateLimiter && !rateLimiter.tryPass(payload.length)) {
      return this.#drop();
    }
    const octets = cut(size);
    octets.set(header);
    octets.set(payload, header.length);
    const sent = this.#wrapper ? this.#wrapper.wrap(octets) : octets;
    if (!sent) return this.#drop();
    this.#socket?.send(sent, this.#client, this.#clientPort);
    this.datagrams.received++;
    this.#count("b", payload);
  }

  #count(side: "a" | "b", payload: Uint8Array): void {
    if (!this.#relay) return; // the reply with the relay's address is still being sent
    if (payload.length > 0) this.#relay.count(side, payload.length);
    else this.#relay.stirs++;
  }

  #drop(): void {
    this.datagrams.dropped++;
  }
}

function standAlone(datagram: Datagram): Datagram | undefined {
  return datagram.fragment === 0 ? datagram : undefined;
}

function startsWith(octets: Uint8Array, head: Uint8Array): boolean {
  // Without a header, the target is known from fragments only.
  if (head.length === 0 || octets.length < head.length) return false;
  for (let i = 0; i < head.length; i++) {
    if (octets[i] !== head[i]) return false;
  }
  return true;
}

async function endWithClient(control: Conn, relay: RelayState): Promise<void> {
  try {
    while (await control.read() !== null);
    end(relay);
  } catch (error) {
    relay.fail("a", toNetError(error));
  }
}

async function endWithUpstream(
  upstream: DialedOutlet | RoutedOutlet,
  relay: RelayState,
): Promise<void> {
  try {
    await upstream.receive();
    end(relay);
  } catch (error) {
    relay.fail("b", toNetError(error));
  }
}

function end(relay: RelayState): void {
  relay.finish("a");
  relay.finish("b");
}
