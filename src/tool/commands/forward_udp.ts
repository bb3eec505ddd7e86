/**
 * A local UDP port whose datagrams go to one target through a proxy.
 *
 * @module
 */

import type { HopDialer } from "../../client/dialer.ts";
import type { UdpAssociation } from "../../client/udp_association.ts";
import { type Endpoint, formatEndpoint, isIp } from "../../protocol/address.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Timeout } from "../../transport/timeouts.ts";
import { closeQuietly } from "../../transport/quiet.ts";
import type { Address, Transport } from "../../transport/transport.ts";

/** Options of {@linkcode forwardUdp}. */
export interface ForwardUdpOptions {
  readonly transport: Transport;
  readonly dialer: Pick<HopDialer, "udpAssociate">;
  readonly target: Endpoint;
  /** Where to listen. */
  readonly place: Address;
  /** Called when there is no association for a client. */
  readonly onError: (error: unknown) => void;
}

/** A running forward of datagrams. */
export interface UdpForward {
  readonly addr: Address;
  close(): Promise<void>;
}

/** How many clients have an association at a time; the one that was silent longest gives way. */
const MAX_CLIENTS = 256;
/** After which silence a client's association ends, in milliseconds. */
const IDLE = 120_000;
/** How long a failed association is not tried again, in milliseconds. */
const PAUSE = 1_000;
/** How many datagrams of a client wait for its association. */
const MAX_WAITING = 32;

/** Opens a local port. Each client gets an association of its own, so that answers find it. */
export async function forwardUdp(
  options: ForwardUdpOptions,
): Promise<UdpForward> {
  const { transport, place } = options;
  const clients = new Map<string, Client>();
  const onDatagram = (payload: Uint8Array, hostname: string, port: number) => {
    const key = formatEndpoint({ hostname, port });
    let client = clients.get(key);
    if (client) clients.delete(key);
    else {
      if (clients.size >= MAX_CLIENTS) clients.values().next().value?.close();
      const answer = (bytes: Uint8Array) => socket.send(bytes, hostname, port);
      client = new Client(options, answer, () => clients.delete(key));
    }
    clients.set(key, client); // the last in the order of activity
    client.send(payload);
  };
  const socket = await transport.datagrams(place, onDatagram);
  return {
    addr: socket.addr,
    close() {
      for (const client of [...clients.values()]) client.close();
      socket.close();
      return Promise.resolve();
    },
  };
}

/** A client of the local port. */
class Client {
  readonly #options: ForwardUdpOptions;
  readonly #answer: (payload: Uint8Array) => void;
  readonly #onEnd: () => void;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  #waiting: Uint8Array[] = [];
  #udp: UdpAssociation | undefined;
  #timeout: Timeout | undefined;
  /** Whether there is no association. It is not tried again at once. */
  #hasFailed = false;
  #isOver = false;

  constructor(
    options: ForwardUdpOptions,
    answer: (payload: Uint8Array) => void,
    onEnd: () => void,
  ) {
    this.#options = options;
    this.#answer = answer;
    this.#onEnd = onEnd;
    this.#clock = options.transport.clock ?? systemClock;
    void this.#run();
  }

  send(payload: Uint8Array): void {
    if (this.#isOver || this.#hasFailed) return;
    this.#stayFor(IDLE);
    if (this.#udp) return void this.#pass(this.#udp, payload);
    // A copy: the payload may share its memory with others.
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(payload.slice());
  }

  async #pass(udp: UdpAssociation, payload: Uint8Array): Promise<void> {
    try {
      await udp.send(payload, this.#options.target);
    } catch (error) {
      // A datagram that is too long is lost, as datagrams are.
      if (!(error instanceof RangeError)) this.close();
    }
  }

  async #run(): Promise<void> {
    const { dialer, target, onError } = this.#options;
    try {
      const { signal } = this.#stopping;
      const udp = await dialer.udpAssociate({ signal });
      if (this.#isOver) return udp.close();
      this.#udp = udp;
      for (const payload of this.#waiting.splice(0)) {
        void this.#pass(udp, payload);
      }
      for await (const [payload, from] of udp) {
        if (!isOf(from, target)) continue;
        this.#stayFor(IDLE);
        this.#answer(payload);
      }
      this.close();
    } catch (error) {
      if (this.#isOver) return;
      onError(error);
      this.#waiting = [];
      this.#hasFailed = true;
      this.#stayFor(PAUSE);
    }
  }

  /** Ends after this time, unless it is called again. */
  #stayFor(ms: number): void {
    if (this.#isOver) return;
    this.#timeout?.cancel();
    this.#timeout = this.#clock.startTimeout(ms, close, this as Client);
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timeout?.cancel();
    this.#stopping.abort();
    closeQuietly(this.#udp);
    this.#onEnd();
  }
}

function close(client: Client): void {
  client.close();
}

/** Whether a datagram is from the target. Of a name only the port is known. */
function isOf(from: Endpoint, target: Endpoint): boolean {
  return from.port === target.port &&
    (isIp(target.hostname) === 0 || from.hostname === target.hostname);
}
