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
  Reassembler,
} from "../../protocol/datagram.ts";
import { RelayState } from "../../transport/relay.ts";
import { cut } from "../../transport/slab.ts";
import { startTimeout, type Timeout } from "../../transport/timeouts.ts";
import type {
  Address,
  Conn,
  DatagramSocket,
  OnDatagram,
  Relay,
} from "../../transport/transport.ts";
import { toNetError } from "../../transport/errors.ts";
import type { CommandSession } from "./command.ts";
import { onFreePort } from "./relay_ports.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import { type UdpTarget, UdpTargets } from "./udp_targets.ts";

/** Milliseconds that fragments may wait for their last one (RFC 1928 section 7: not less than 5 seconds). */
const FRAGMENTS_TIME = 10_000;

/** Octets that may wait for targets whose names are being resolved. */
const MAX_WAITING = 64 * 1024;
/** What a datagram that waits takes beside its octets. */
const OVERHEAD = 64;

/** Relays datagrams between one client and its targets. Nothing that is in a datagram ends it. */
export class UdpRelay {
  /** See {@linkcode DatagramCounts}. */
  readonly datagrams = { sent: 0, received: 0, dropped: 0 };
  readonly #session: CommandSession;
  readonly #onClosed: () => void;
  readonly #client: string;
  /** 0 until it is known. */
  #clientPort = 0;
  /** The client's side. */
  #socket: DatagramSocket | undefined;
  readonly #targets: UdpTargets;
  #waiting = 0;
  readonly #fragments: Reassembler | undefined;
  #fragmentsTimeout: Timeout | undefined;
  #relay: RelayState | undefined;
  #closed = false;

  constructor(session: CommandSession, onClosed: () => void) {
    this.#session = session;
    this.#onClosed = onClosed;
    this.#client = session.client.hostname;
    if (!session.settings.dropFragments) this.#fragments = new Reassembler();
    this.#targets = new UdpTargets(
      session,
      this.#fromTarget,
      (target, payloads) => this.#forwardWaiting(target, payloads),
    );
  }

  /**
   * Binds the client's side on the address on which the client reached the
   * server. A request that names the client's own address names the port as
   * well; other addresses there mean nothing, for many clients put zeros or the
   * target.
   */
  async open({ conn, target }: ClientRequest): Promise<Address> {
    if (unmapIp(target.hostname) === this.#client) {
      this.#clientPort = target.port;
    }
    const { transport, relayPorts } = this.#session.settings;
    const { hostname } = conn.localAddr;
    this.#socket = await onFreePort(
      relayPorts,
      (port) => transport.datagrams({ hostname, port }, this.#fromClient),
    );
    return this.#socket.addr;
  }

  /** Begins to relay, until the client's connection ends; what that one carries means nothing. */
  start(control: Conn): Relay {
    const idle = this.#session.settings.timeouts.association;
    const relay = this.#relay = new RelayState(control, this, { idle });
    control.keepAlive?.(); // nothing is sent there, so that else nobody notices a client that is gone
    endWith(control, relay);
    return relay;
  }

  /** Frees all sockets. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#fragmentsTimeout?.cancel();
    this.#socket?.close();
    this.#targets.close();
    this.#onClosed();
  }

  reset(): void {
    this.close();
  }

  readonly #fromClient: OnDatagram = (octets, hostname, port) => {
    const known = this.#clientPort;
    if (hostname !== this.#client || (port !== known && known !== 0)) {
      return this.#drop();
    }
    const last = this.#targets.last; // where most go
    if (last && startsWith(octets, last.header) && !this.#fragments?.waiting) {
      return this.#forward(last, octets.subarray(last.header.length));
    }
    const datagram = decodeDatagram(octets);
    if (!datagram) return this.#drop();
    this.#clientPort = port;
    const whole = this.#reassemble(datagram);
    if (!whole) return;
    const target = this.#targets.get(whole);
    if (whole === datagram) {
      target.header = new Uint8Array(
        octets.subarray(0, octets.length - whole.payload.length),
      );
    }
    this.#forward(target, whole.payload);
  };

  #reassemble(datagram: Datagram): Datagram | undefined {
    const fragments = this.#fragments;
    const whole = fragments ? fragments.add(datagram) : standAlone(datagram);
    this.#fragmentsTimeout?.cancel();
    if (fragments?.waiting) {
      this.#fragmentsTimeout = startTimeout(
        FRAGMENTS_TIME,
        () => fragments.reset(),
      );
    } else if (!whole) this.#drop();
    return whole;
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

  readonly #fromTarget: OnDatagram = (payload, hostname, port) => {
    const header = this.#targets.headerOf(hostname, port);
    const size = (header?.length ?? 0) + payload.length;
    if (!header || size > MAX_DATAGRAM) return this.#drop();
    const { rateLimiter } = this.#session;
    if (rateLimiter && !rateLimiter.tryPass(payload.length)) {
      return this.#drop();
    }
    const octets = cut(size);
    octets.set(header);
    octets.set(payload, header.length);
    this.#socket?.send(octets, this.#client, this.#clientPort);
    this.datagrams.received++;
    this.#count("b", payload);
  };

  #count(side: "a" | "b", payload: Uint8Array): void {
    if (!this.#relay) return; // the reply that tells of it is still on its way
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
  // Without one, the target is known from fragments only.
  if (head.length === 0 || octets.length < head.length) return false;
  for (let i = 0; i < head.length; i++) {
    if (octets[i] !== head[i]) return false;
  }
  return true;
}

async function endWith(control: Conn, relay: RelayState): Promise<void> {
  try {
    while (await control.read() !== null);
    relay.finish("a");
    relay.finish("b");
  } catch (error) {
    relay.fail("a", toNetError(error));
  }
}
