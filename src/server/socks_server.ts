/**
 * The implementation of a server: its settings, its sessions, and its end.
 *
 * @module
 */

import { checkKeys } from "../transport/check_keys.ts";
import type { NetError } from "../transport/errors.ts";
import type { Timeout } from "../transport/timeouts.ts";
import type { ConnSource } from "../transport/streams.ts";
import type { Address, Conn } from "../transport/transport.ts";
import type { Accountant } from "./accounting/accountant.ts";
import { CurrentAttributes } from "./accounting/current_attributes.ts";
import {
  clientOf,
  connOf,
  destinationOf,
  exposedBy,
  type Incoming,
  isKnownLoopback,
  type Origin,
} from "./accept.ts";
import { Arrivals, type ArrivalsOwner } from "./arrivals.ts";
import type { Ending } from "./commands/ending.ts";
import type { ServerEvent, Session } from "./events.ts";
import type { Admission } from "./limits/admission.ts";
import {
  type ServerLimits,
  setUserLimits,
  updateLimits,
} from "./limits/server_limits.ts";
import { Listeners, type ListenersOwner } from "./listeners.ts";
import { openAccountant } from "./open_accountant.ts";
import type { Server, ServerUpdate, ShutdownOptions } from "./server.ts";
import type { ServeOptions } from "./options.ts";
import { OwnAddresses } from "./policy/own_addresses.ts";
import { ServerSession, type SessionOwner } from "./session.ts";
import {
  type ListenSettings,
  resolveSettings,
  type Settings,
} from "./settings.ts";

/** A server. Call {@linkcode SocksServer.start} once. */
export class SocksServer
  implements Server, SessionOwner, ListenersOwner, ArrivalsOwner {
  readonly finished: Promise<void>;
  settings: Settings;
  readonly limits: ServerLimits;
  readonly ownAddresses: OwnAddresses;
  readonly emit: ((event: ServerEvent) => void) | undefined;
  accountant: Accountant | undefined;
  readonly #attributes: CurrentAttributes;
  /**
   * In no particular order. Each session stores its index, so that adding and removing
   * take constant time.
   */
  readonly #sessions: ServerSession[] = [];
  readonly #listeners: Listeners;
  readonly #arrivals: Arrivals;
  #options: ServeOptions;
  #finish!: () => void;
  #lastId = 0;
  #areOwnAddressesChecked = false;
  #updated: Promise<unknown> = Promise.resolve();
  #isDraining = false;
  #closing: Promise<void> | undefined;

  constructor(
    settings: Settings,
    options: ServeOptions,
    limits: ServerLimits,
  ) {
    this.settings = settings;
    this.#options = options;
    const { transport, clock } = settings;
    this.limits = limits;
    this.#attributes = new CurrentAttributes(settings.userAttributes);
    setUserLimits(limits, this.#attributes);
    this.#listeners = new Listeners(this);
    this.#arrivals = new Arrivals(this);
    this.ownAddresses = new OwnAddresses(transport, clock);
    this.emit = options.onEvent;
    this.finished = new Promise((resolve) => this.#finish = resolve);
  }

  get addr(): Address {
    return this.#listeners.addr;
  }

  get plainAddr(): Address | undefined {
    return this.#listeners.plainAddr;
  }

  get isDraining(): boolean {
    return this.#isDraining || this.isClosed;
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  get sessions(): readonly Session[] {
    return this.#sessions.slice().sort((a, b) => a.id - b.id);
  }

  get sessionCount(): number {
    return this.#sessions.length;
  }

  async start(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.accountant = await this.#openAccountant(this.settings);
    const { listen } = this.settings;
    if (listen) await this.#listen(listen);
    const onAbort = () => void this.shutdown({ grace: 0 });
    signal?.addEventListener("abort", onAbort);
    this.finished.then(() => signal?.removeEventListener("abort", onAbort));
    if (!signal?.aborted) return;
    await this.shutdown({ grace: 0 });
    throw signal.reason;
  }

  async #listen(where: ListenSettings): Promise<void> {
    await this.#listeners.open(where);
    const { addr, plainAddr } = this;
    this.emit?.({ type: "listening", addr, tls: where.tls !== undefined });
    if (plainAddr) {
      this.emit?.({ type: "listening", addr: plainAddr, tls: false });
    }
    if (this.settings.isExposed) this.#checkOwnAddresses();
  }

  /**
   * Reports once if the addresses of this machine are not known, so that they cannot be
   * denied to exposed sessions.
   */
  #checkOwnAddresses(): void {
    if (this.#areOwnAddressesChecked) return;
    this.#areOwnAddressesChecked = true;
    if (!this.emit || this.ownAddresses.areKnown) return;
    this.emit({ type: "own-addresses-unknown" });
  }

  accepted(conn: Conn, startTls: ((conn: Conn) => Conn) | undefined): void {
    const incoming = this.#incoming(conn);
    if (!startTls) return this.#take(incoming);
    const isCertified = this.settings.listen?.tls?.clientCa !== undefined;
    this.#take({ ...incoming, isCertified, startTls });
  }

  acceptFailed(error: NetError): void {
    this.emit?.({ type: "accept-error", error });
  }

  handle(source: ConnSource, origin: Origin = {}): void {
    const keys = ["client", "exposed", "destination"];
    checkKeys(origin, keys, "the origin of a connection");
    const client = clientOf(origin);
    const destination = destinationOf(origin);
    const conn = connOf(source);
    const exposed = exposedBy(
      origin,
      this.settings.isExposed || !isKnownLoopback(client ?? conn.remoteAddr),
    );
    this.#take({ ...this.#incoming(conn), client, exposed, destination });
  }

  #incoming(conn: Conn): Incoming {
    return {
      conn,
      raw: conn,
      client: undefined,
      exposed: this.settings.isExposed,
      isCertified: false,
      waited: 0,
    };
  }

  #take(incoming: Incoming): void {
    if (incoming.exposed) this.#checkOwnAddresses();
    this.#arrivals.take(incoming);
  }

  open(incoming: Incoming, admission: Admission): void {
    void this.#add(incoming, admission).run(incoming.waited);
  }

  serveNext(incoming: Incoming, admission: Admission): void {
    const session = this.#add(incoming, admission);
    void session.runNext();
    // The event of the end of its last session may have led to a shutdown.
    if (this.isClosed) session.close();
  }

  #add(incoming: Incoming, admission: Admission): ServerSession {
    const id = ++this.#lastId;
    const session = new ServerSession(id, this, incoming, admission);
    session.place = this.#sessions.push(session) - 1;
    return session;
  }

  ended(session: ServerSession, ending: Ending | undefined): void {
    this.#remove(session);
    const { user } = session;
    if (user !== undefined) this.accountant?.ended(user, session);
    if (ending) this.emit?.({ type: "session-end", session, ...ending });
    else if (!session.isKept) {
      this.emit?.({ type: "probe", client: session.client });
    }
    this.#closing?.then(() => this.#finishAccounts());
  }

  /** Moves the last session to the index of this one. */
  #remove({ place }: ServerSession): void {
    const last = this.#sessions.pop()!;
    if (last.place === place) return;
    this.#sessions[place] = last;
    last.place = place;
  }

  update(options: ServerUpdate): Promise<void> {
    const update = () => this.#update(options);
    const updated = this.#updated.then(update, update);
    this.#updated = updated;
    return updated;
  }

  async #update(options: ServerUpdate): Promise<void> {
    const { transport } = this.settings;
    const { hostname, socketMode, port, listen, plainPort, accounting } =
      this.#options;
    const fixed = { hostname, socketMode, port, listen, plainPort, accounting };
    const merged = { ...this.#options, ...options, ...fixed };
    const settings = await resolveSettings(merged, transport);
    const accountant = this.accountant ?? await this.#openAccountant(settings);
    this.#listeners.update(settings);
    this.settings = settings;
    this.#options = merged;
    this.#attributes.lookUp = settings.userAttributes;
    updateLimits(this.limits, settings.limits);
    if (!accountant) return;
    if (!this.accountant) this.#countFromNow(accountant);
    accountant.attributesChanged();
  }

  #openAccountant(settings: Settings): Promise<Accountant | undefined> {
    return openAccountant(settings, this.#attributes, this.emit);
  }

  /** Counts open sessions too. */
  #countFromNow(accountant: Accountant): void {
    this.accountant = accountant;
    for (const it of this.#sessions) {
      const { user, command } = it;
      if (user !== undefined && command) accountant.open(user, it);
    }
  }

  async reportUsage(): Promise<void> {
    await this.accountant?.report();
  }

  shutdown(options: ShutdownOptions = {}): Promise<void> {
    const { drainDelay = 0, grace = 10_000 } = options;
    const { clock } = this.settings;
    let timeout: Timeout | undefined;
    const close = () => {
      this.#close();
      if (!(grace > 0)) this.#closeSessions();
      timeout = clock.startTimeout(grace, () => this.#closeSessions());
    };
    if (!this.isClosed && drainDelay > 0) {
      this.#drain();
      timeout = clock.startTimeout(drainDelay, close);
    } else close();
    return this.finished.finally(() => timeout?.cancel());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  #drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.emit?.({ type: "drain" });
  }

  #close(): void {
    if (this.#closing) return;
    this.#closing = this.#stopListening();
    this.#closing.then(() => this.#finishAccounts());
    for (const it of this.sessions as ServerSession[]) {
      if (it.isKept) it.close();
    }
    this.emit?.({ type: "shutdown" });
  }

  async #stopListening(): Promise<void> {
    this.#arrivals.close();
    await this.#listeners.close();
  }

  /** Reports the rest of what users have transferred; then the server has finished. */
  #finishAccounts(): void {
    if (this.#sessions.length > 0) return; // a client that was kept has come meanwhile
    if (!this.accountant) this.#finish();
    else void this.accountant.close().then(this.#finish);
  }

  #closeSessions(): void {
    for (const session of this.sessions) session.close();
  }
}
