/**
 * The targets of one UDP association: their addresses, and the sockets on which
 * they are written to.
 *
 * @module
 */

import { type Endpoint, isIp } from "../../protocol/address.ts";
import { encodeDatagramHeader } from "../../protocol/datagram.ts";
import { AbortSwitch } from "../../transport/signal.ts";
import { startTimeout, type Timeout } from "../../transport/timeouts.ts";
import type { DatagramSocket, OnDatagram } from "../../transport/transport.ts";
import { NetError } from "../../transport/errors.ts";
import type { CommandSession } from "./command.ts";
import type { Settings } from "../settings.ts";
import { dialledAddress, resolve } from "../policy/authorize.ts";

/** Milliseconds for which the address of a name, and a verdict of the policy, are good. */
const FRESH_TIME = 30_000;
/** The same, for there being no address. */
const FAILED_TIME = 3_000;

/** One target. */
export interface UdpTarget extends Endpoint {
  /** What a client's datagrams to it begin with, as it was last seen. */
  header: Uint8Array;
  /** Payloads that wait until it is known whether and where they may go. */
  waiting: Uint8Array[] | undefined;
  /** Where they go; empty until it is known. */
  address: string;
  /** By which socket; none if they go nowhere. */
  socket: DatagramSocket | undefined;
}

interface Entry extends UdpTarget {
  readonly key: string;
  /** The settings by which it was last judged, while that is good. */
  judgedBy: Settings | undefined;
  timeout: Timeout | undefined;
}

/** An address that some targets have. */
interface Source {
  targets: number;
  /** The port that the last datagram from there came from, and what the client is told of it. */
  port: number;
  header: Uint8Array;
}

/** Above so many targets whose way is being looked for, datagrams to more names are lost. */
const MAX_RESOLVING = 64;
/** The same for datagrams to more addresses, about which a slow policy may have been asked. */
const MAX_JUDGING = 1_024;

const NOTHING = new Uint8Array(0);
/** All addresses of this machine, by IP version. */
const ANY: Readonly<Record<number, string>> = { 4: "0.0.0.0", 6: "::" };

/** At most `limits.targetsPerAssociation` of them, the latest used. Only from the addresses that they have are datagrams welcome, from any port. */
export class UdpTargets {
  readonly #session: CommandSession;
  readonly #onDatagram: OnDatagram;
  readonly #onReady: (target: UdpTarget, payloads: Uint8Array[]) => void;
  /** In the order of their last {@linkcode get}. */
  readonly #entries = new Map<string, Entry>();
  readonly #sources = new Map<string, Source>();
  /** By the address that they are bound to: one for each IP version that a target has needed, and for each address that a rule names. */
  readonly #sockets = new Map<string, DatagramSocket>();
  readonly #opening = new Map<string, Promise<DatagramSocket>>();
  #resolving = 0;
  #last: Entry | undefined;
  readonly #closing = new AbortSwitch();

  constructor(
    session: CommandSession,
    onDatagram: OnDatagram,
    onReady: (target: UdpTarget, payloads: Uint8Array[]) => void,
  ) {
    this.#session = session;
    this.#onDatagram = onDatagram;
    this.#onReady = onReady;
  }

  /** The target that was asked for last, while what is known of it is good. */
  get last(): UdpTarget | undefined {
    const last = this.#last;
    return last?.judgedBy === this.#session.settings ? last : undefined;
  }

  /** The target of this name or address, new or known. */
  get({ hostname, port }: Endpoint): UdpTarget {
    const key = `${port} ${hostname}`;
    let entry = this.#entries.get(key);
    if (entry) this.#entries.delete(key);
    else entry = newEntry(key, hostname, port);
    this.#entries.set(key, entry);
    while (
      this.#entries.size > this.#session.settings.limits.targetsPerAssociation
    ) {
      this.#forget(); // also if there may be fewer since the last time
    }
    if (entry.judgedBy !== this.#session.settings) this.#refresh(entry);
    this.#last = entry;
    return entry;
  }

  /** The header for a datagram from here; `undefined` when nobody has written there. */
  headerOf(hostname: string, port: number): Uint8Array | undefined {
    const source = this.#sources.get(hostname);
    if (source && source.port !== port) {
      source.port = port;
      source.header = encodeDatagramHeader({ hostname, port });
    }
    return source?.header;
  }

  /** Frees the sockets. */
  close(): void {
    this.#closing.abort(new NetError("closed", "the association is closed"));
    this.#last = undefined;
    for (const entry of this.#entries.values()) entry.timeout?.cancel();
    for (const socket of this.#sockets.values()) socket.close();
  }

  /** Forgets the target that was not used for longest; what waits for it is lost with it. */
  #forget(): void {
    const [oldest] = this.#entries.values();
    this.#entries.delete(oldest.key);
    oldest.timeout?.cancel();
    this.#setAddress(oldest, "");
    this.#settle(oldest);
  }

  #refresh(entry: Entry): void {
    const { settings } = this.#session;
    const address = dialledAddress(entry.hostname);
    const version = isIp(address);
    const socket = this.#sockets.get(ANY[version]);
    entry.timeout?.cancel();
    entry.socket = undefined; // nothing goes there on what was known
    if (!socket || settings.policy || this.#session.exposed) {
      const most = version ? MAX_JUDGING : MAX_RESOLVING;
      if (this.#resolving < most) return void this.#resolve(entry, settings);
      entry.judgedBy = undefined;
      return this.#settle(entry); // what waits for it is lost
    }
    entry.judgedBy = settings;
    this.#setAddress(entry, address);
    entry.socket = socket;
    this.#settle(entry);
  }

  async #resolve(entry: Entry, settings: Settings): Promise<void> {
    entry.judgedBy = settings;
    entry.waiting ??= [];
    this.#resolving++;
    const way = await this.#wayTo(entry);
    this.#resolving--;
    if (this.#closing.aborted || this.#entries.get(entry.key) !== entry) return;
    if (entry.judgedBy !== settings) return; // and is being judged anew
    this.#setAddress(entry, way?.address ?? "");
    entry.socket = way?.socket;
    const time = way ? FRESH_TIME : FAILED_TIME;
    entry.timeout = startTimeout(time, () => entry.judgedBy = undefined);
    this.#settle(entry);
  }

  /**
   * The first of the target's addresses that there may and can be a way to; the
   * one that it has had, if that is still one of them, for a conversation is
   * with one host, and resolvers change the order with each answer.
   */
  async #wayTo(target: UdpTarget) {
    try {
      const way = await resolve(this.#session, target, this.#closing);
      const { addresses, localAddressOf } = way;
      const has = addresses.includes(target.address) ? [target.address] : [];
      for (const address of [...has, ...addresses]) {
        const version = isIp(address);
        const from = localAddressOf?.(address) ?? ANY[version];
        if (isIp(from) !== version) continue;
        const socket = await this.#socketOn(from).catch(() => {});
        if (socket) return { address, socket };
      }
    } catch {
      // Not allowed, or no such name: what goes there is dropped.
    }
    return undefined;
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
      if (this.#closing.aborted) socket.close();
      this.#sockets.set(hostname, socket);
      return socket;
    } finally {
      this.#opening.delete(hostname);
    }
  }

  /** Whatever waits is on its way, or lost. */
  #settle(entry: Entry): void {
    const { waiting } = entry;
    entry.waiting = undefined;
    if (waiting) this.#onReady(entry, waiting);
  }

  #setAddress(entry: Entry, address: string): void {
    if (entry.address === address) return;
    const before = this.#sources.get(entry.address);
    if (before && --before.targets === 0) this.#sources.delete(entry.address);
    entry.address = address;
    if (address === "") return;
    const source = this.#sources.get(address);
    if (source) source.targets++;
    else this.#sources.set(address, { targets: 1, port: -1, header: NOTHING });
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
    socket: undefined,
    judgedBy: undefined,
    timeout: undefined,
  };
}
