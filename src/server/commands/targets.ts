/**
 * The targets of one UDP association: their addresses, and the sockets on which
 * they are written to.
 *
 * @module
 */

import { type Endpoint, isIp, unmapIp } from "../../protocol/address.ts";
import { encodeDatagramHeader } from "../../protocol/datagram.ts";
import { startTimeout, type Timeout } from "../../transport/timeouts.ts";
import type { DatagramSocket, OnDatagram } from "../../transport/transport.ts";
import type { CommandSession } from "./command.ts";
import { type Policy, resolve } from "../policy/policy.ts";

/** Milliseconds for which the address of a name, and a verdict of the policy, are good. */
const FRESH_TIME = 30_000;
/** The same, for there being no address. */
const FAILED_TIME = 3_000;

/** One target. */
export interface Target extends Endpoint {
  /** What a client's datagrams to it begin with, as it was last seen. */
  header: Uint8Array;
  /** Payloads that wait until it is known whether and where they may go. */
  waiting: Uint8Array[] | undefined;
  /** Where they go; empty until it is known. */
  address: string;
  /** By which socket; none if they go nowhere. */
  socket: DatagramSocket | undefined;
}

interface Entry extends Target {
  readonly key: string;
  fresh: boolean;
  /** Whose verdict on it is known: after an update of the server it is another one's business. */
  judge: Policy | undefined;
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

const NOTHING = new Uint8Array(0);

/** At most `limits.targets` of them, the latest used. Only from the addresses that they have are datagrams welcome, from any port. */
export class Targets {
  readonly #session: CommandSession;
  readonly #onDatagram: OnDatagram;
  readonly #onReady: (target: Target, payloads: Uint8Array[]) => void;
  /** In the order of their last {@linkcode get}. */
  readonly #entries = new Map<string, Entry>();
  readonly #sources = new Map<string, Source>();
  /** One for each IP version that a target has needed. */
  readonly #sockets = new Map<number, DatagramSocket>();
  readonly #opening = new Map<number, Promise<DatagramSocket>>();
  #resolving = 0;
  #last: Entry | undefined;
  #closed = false;

  constructor(
    session: CommandSession,
    onDatagram: OnDatagram,
    onReady: (target: Target, payloads: Uint8Array[]) => void,
  ) {
    this.#session = session;
    this.#onDatagram = onDatagram;
    this.#onReady = onReady;
  }

  /** The target that was asked for last, while what is known of it is good. */
  get last(): Target | undefined {
    return this.#last && this.#isFresh(this.#last) ? this.#last : undefined;
  }

  /** The target of this name or address, new or known. */
  get({ hostname, port }: Endpoint): Target {
    const key = `${port} ${hostname}`;
    let entry = this.#entries.get(key);
    if (entry) this.#entries.delete(key);
    else entry = this.#create(key, hostname, port);
    this.#entries.set(key, entry);
    if (!this.#isFresh(entry)) this.#refresh(entry);
    this.#last = entry;
    return entry;
  }

  #isFresh({ fresh, judge }: Entry): boolean {
    return fresh && judge === this.#session.settings.policy;
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
    this.#closed = true;
    this.#last = undefined;
    for (const entry of this.#entries.values()) entry.timeout?.cancel();
    for (const socket of this.#sockets.values()) socket.close();
  }

  #create(key: string, hostname: string, port: number): Entry {
    if (this.#entries.size >= this.#session.settings.limits.targets) {
      this.#forget();
    }
    return {
      key,
      hostname,
      port,
      header: NOTHING,
      waiting: undefined,
      address: "",
      socket: undefined,
      fresh: false,
      judge: undefined,
      timeout: undefined,
    };
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
    const address = unmapIp(entry.hostname);
    const version = isIp(address);
    const socket = this.#sockets.get(version);
    const { policy, isExposed } = this.#session.settings;
    entry.judge = policy;
    if (!socket || policy || isExposed) {
      if (version || this.#resolving < MAX_RESOLVING) this.#resolve(entry);
      else entry.socket = undefined; // what was known of it is not good any more
      return;
    }
    entry.fresh = true;
    this.#setAddress(entry, address);
    entry.socket = socket;
  }

  async #resolve(entry: Entry): Promise<void> {
    entry.fresh = true;
    entry.timeout?.cancel();
    entry.waiting ??= [];
    this.#resolving++;
    const { judge } = entry;
    const way = await this.#wayTo(entry);
    this.#resolving--;
    if (this.#closed || this.#entries.get(entry.key) !== entry) return;
    if (entry.judge !== judge) return; // another one has been asked since
    this.#setAddress(entry, way?.address ?? "");
    entry.socket = way?.socket;
    const time = way ? FRESH_TIME : FAILED_TIME;
    entry.timeout = startTimeout(time, () => this.#expire(entry));
    this.#settle(entry);
  }

  /** The first of the target's addresses that there may and can be a way to. */
  async #wayTo(target: Endpoint) {
    try {
      const { addresses } = await resolve(this.#session, target);
      for (const address of addresses) {
        const socket = await this.#socketFor(isIp(address)).catch(() => {});
        if (socket) return { address, socket };
      }
    } catch {
      // Not allowed, or no such name: what goes there is dropped.
    }
    return undefined;
  }

  async #socketFor(version: number): Promise<DatagramSocket> {
    const socket = this.#sockets.get(version);
    if (socket) return socket;
    let opening = this.#opening.get(version);
    if (!opening) this.#opening.set(version, opening = this.#open(version));
    return await opening;
  }

  async #open(version: number): Promise<DatagramSocket> {
    try {
      const { transport } = this.#session.settings;
      const hostname = version === 4 ? "0.0.0.0" : "::";
      const socket = await transport.datagrams(
        { hostname, port: 0 },
        this.#onDatagram,
      );
      if (this.#closed) socket.close();
      this.#sockets.set(version, socket);
      return socket;
    } finally {
      this.#opening.delete(version);
    }
  }

  /** Whatever waits is on its way, or lost. */
  #settle(entry: Entry): void {
    const { waiting } = entry;
    entry.waiting = undefined;
    if (waiting) this.#onReady(entry, waiting);
  }

  #expire(entry: Entry): void {
    entry.fresh = false;
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
