/**
 * The implementation of a server: its listener, its connections before they become
 * sessions, and the list of sessions.
 *
 * @module
 */

import { checkKeys } from "../transport/check_keys.ts";
import { NetError, toNetError } from "../transport/errors.ts";
import { AbortSwitch } from "../transport/signal.ts";
import { closeQuietly, resetQuietly } from "../transport/quiet.ts";
import type { Timeout } from "../transport/timeouts.ts";
import type { ConnSource } from "../transport/streams.ts";
import type {
  Address,
  Conn,
  Listener,
  ListenOptions,
} from "../transport/transport.ts";
import {
  type AcceptHook,
  clientOf,
  connOf,
  destinationOf,
  exposedBy,
  type Incoming,
  isKnownLoopback,
  type Origin,
  PendingAccepts,
  pendingClient,
} from "./accept.ts";
import type { Ending } from "./commands/ending.ts";
import type { ServerEvent, Session } from "./events.ts";
import type { Admission } from "./limits/admission.ts";
import { answerInTime } from "./limits/answer_in_time.ts";
import type { PendingAdmission } from "./limits/connection_limiter.ts";
import { LIMITS, type RejectionReason } from "./limits/limit_table.ts";
import { type ServerLimits, updateLimits } from "./limits/server_limits.ts";
import type { Server, ServerUpdate, ShutdownOptions } from "./server.ts";
import type { ServeOptions } from "./options.ts";
import { OwnAddresses } from "./policy/own_addresses.ts";
import { checkTlsKept } from "./resolve_tls.ts";
import { ServerSession, type SessionOwner, timeLeft } from "./session.ts";
import {
  type ListenSettings,
  resolveSettings,
  type Settings,
} from "./settings.ts";

const NO_ADDRESS: Address = { hostname: "0.0.0.0", port: 0 };

const SHUTTING_DOWN = "the server is shutting down";
const LIMITS_FAILED = "the shared limits store failed";
const OPEN_PROXY_TEXT =
  "the client is not on loopback, and not everyone needs a login: " +
  "set auth, or openProxy to true if that is what you want";

/**
 * Throws unless a listener speaks TLS, after a header if there is one: otherwise it would
 * accept everyone in clear, or take the header of everyone.
 */
function checkTlsOf(
  { setTls, startTls }: Listener,
  proxyHeader: AcceptHook | undefined,
): void {
  if (!setTls) {
    throw new NetError("invalid", "the transport does not support TLS");
  }
  if (!proxyHeader || startTls) return;
  const what = "TLS after a PROXY header (proxyFrom)";
  throw new NetError("invalid", `the transport does not support ${what}`);
}

/** Transports without a `startTls` have started TLS already. */
function startTlsOn(conn: Conn, listener: Listener | undefined): Conn {
  if (!listener) throw new NetError("aborted", "the server is not ready yet");
  return listener.startTls?.(conn) ?? conn;
}

/** A server. Call {@linkcode SocksServer.start} once. */
export class SocksServer implements Server, SessionOwner {
  readonly finished: Promise<void>;
  settings: Settings;
  readonly limits: ServerLimits;
  readonly ownAddresses: OwnAddresses;
  readonly emit: ((event: ServerEvent) => void) | undefined;
  /**
   * In no particular order. Each session stores its index, so that adding and removing
   * take constant time.
   */
  readonly #sessions: ServerSession[] = [];
  /** How many connections wait for the answer of a shared limits store. */
  #asking = 0;
  /** Ends these waits. Created on first use. */
  #stopAsking: AbortSwitch | undefined;
  readonly #accepting: PendingAccepts;
  #options: ServeOptions;
  #finish!: () => void;
  #listener: Listener | undefined;
  #plainListener: Listener | undefined;
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
    this.#accepting = new PendingAccepts(clock);
    this.ownAddresses = new OwnAddresses(transport, clock);
    this.emit = options.onEvent;
    this.finished = new Promise((resolve) => this.#finish = resolve);
  }

  get addr(): Address {
    return this.#listener?.addr ?? NO_ADDRESS;
  }

  get plainAddr(): Address | undefined {
    return this.#plainListener?.addr;
  }

  get isDraining(): boolean {
    return this.#isDraining || this.#closing !== undefined;
  }

  get sessions(): readonly Session[] {
    return this.#sessions.slice().sort((a, b) => a.id - b.id);
  }

  async start(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
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
    const { tls, plainPort, ...plain } = where;
    this.#listener = await this.#openListener({ ...plain, tls });
    if (plainPort !== undefined) {
      this.#plainListener = await this.#openPlain({
        ...plain,
        port: plainPort,
      });
    }
    this.emit?.({ type: "listening", addr: this.addr, tls: !!tls });
    const { plainAddr } = this;
    if (plainAddr) {
      this.emit?.({ type: "listening", addr: plainAddr, tls: false });
    }
    if (this.settings.isExposed) this.#checkOwnAddresses();
  }

  async #openPlain(where: ListenOptions): Promise<Listener> {
    try {
      return await this.#openListener(where);
    } catch (error) {
      await this.#listener?.close();
      throw error;
    }
  }

  async #openListener(where: ListenOptions): Promise<Listener> {
    const { transport, proxyHeader } = this.settings;
    const isTls = where.tls !== undefined;
    const accepted = (conn: Conn) => {
      if (!isTls) return this.#accepted(this.#incoming(conn, false));
      const startTls = (conn: Conn) => startTlsOn(conn, ready.listener);
      const { tls } = this.settings.listen ?? {};
      const incoming = this.#incoming(conn, tls?.clientCa !== undefined);
      this.#accepted({ ...incoming, startTls });
    };
    const ready: { listener?: Listener } = {};
    const listener = await transport.listen(
      isTls ? { ...where, startsInClear: true } : where,
      accepted,
      (error) => this.emit?.({ type: "accept-error", error }),
    );
    ready.listener = listener;
    if (!isTls) return listener;
    try {
      checkTlsOf(listener, proxyHeader);
    } catch (error) {
      await listener.close();
      throw error;
    }
    return listener;
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
    const incoming = { ...this.#incoming(conn, false), client, exposed };
    this.#accepted({ ...incoming, destination });
  }

  #incoming(conn: Conn, isCertified: boolean): Incoming {
    const { isExposed: exposed } = this.settings;
    const client = undefined;
    return { conn, raw: conn, client, exposed, isCertified, waited: 0 };
  }

  #accepted(incoming: Incoming): void {
    if (incoming.exposed) this.#checkOwnAddresses();
    const { accept, proxyHeader } = this.settings;
    if (accept || proxyHeader) void this.#runHooks(incoming);
    else {
      const secured = this.#secured(incoming);
      if (secured) this.#admit(secured);
    }
  }

  /** Runs what precedes the handshake. The client of `handle()` needs no PROXY header. */
  async #runHooks(incoming: Incoming): Promise<void> {
    const { accept, proxyHeader } = this.settings;
    let accepted: Incoming | undefined = incoming;
    if (proxyHeader && !incoming.client) {
      accepted = await this.#runHook(incoming, proxyHeader);
    }
    accepted &&= this.#secured(accepted);
    if (accepted && accept) accepted = await this.#runHook(accepted, accept);
    if (accepted) this.#admit(accepted);
  }

  /** Starts TLS where the port speaks it; returns `undefined` if the connection has ended. */
  #secured(incoming: Incoming): Incoming | undefined {
    const { startTls, ...rest } = incoming;
    if (!startTls) return rest;
    const client = this.emit && (rest.client ?? rest.conn.remoteAddr);
    try {
      const conn = startTls(rest.conn);
      return { ...rest, conn, raw: conn };
    } catch (cause) {
      resetQuietly(rest.conn);
      this.emit?.({
        type: "session-rejected",
        client: client!,
        reason: "TLS could not start",
        error: toNetError(cause),
      });
      return undefined;
    }
  }

  /**
   * Connections that wait for a hook count as sessions and, if the client is known, as
   * handshakes. Resolves with `undefined` if the connection is closed.
   */
  async #runHook(
    incoming: Incoming,
    hook: AcceptHook,
  ): Promise<Incoming | undefined> {
    const { limits, timeouts } = this.settings;
    const count = this.#sessions.length + this.#asking;
    const { connections } = this.limits;
    const full = this.#accepting.refuses(
      pendingClient(hook, incoming),
      count,
      connections,
      limits,
    );
    if (this.#closing || full) {
      const isClosing = this.#closing !== undefined;
      const reason = isClosing ? SHUTTING_DOWN : LIMITS[full!].rejection;
      this.#reject(incoming, reason);
      return undefined;
    }
    // Read now: a closed socket no longer reports it.
    const client = this.emit && (incoming.client ?? incoming.conn.remoteAddr);
    const timeout = timeLeft(timeouts.handshake, incoming.waited);
    try {
      const accepted = await this.#accepting.run(hook, incoming, timeout);
      if (!accepted && hook.countsProbes) {
        this.emit?.({ type: "probe", client: client! });
      }
      return accepted;
    } catch (cause) {
      this.emit?.({
        type: "session-rejected",
        client: client!,
        reason: hook.failure,
        error: toNetError(cause),
      });
      return undefined;
    }
  }

  #admit(incoming: Incoming): void {
    const { conn, client, exposed, isCertified } = incoming;
    if (this.#closing) return this.#reject(incoming, SHUTTING_DOWN);
    if (exposed && !this.settings.servesExposed && !isCertified) {
      return this.#reject(incoming, OPEN_PROXY_TEXT);
    }
    // Connections that wait for a store hold a descriptor, as sessions do.
    const { sessions } = this.settings.limits;
    if (this.#asking > 0 && this.#asking + this.#sessions.length >= sessions) {
      return this.#reject(incoming, LIMITS.sessions.rejection);
    }
    const answer = this.limits.connections.admit(
      client ? { remoteAddr: client } : conn,
    );
    if (typeof answer !== "string" && "answer" in answer) {
      void this.#openLater(incoming, answer);
    } else this.#open(incoming, answer);
  }

  #open(incoming: Incoming, admission: Admission | RejectionReason): void {
    if (typeof admission === "string") {
      return this.#reject(incoming, LIMITS[admission].rejection);
    }
    this.#add(incoming, admission).run(incoming.waited);
  }

  serveNext(incoming: Incoming, admission: Admission): void {
    const session = this.#add(incoming, admission);
    void session.runNext();
    // The event of the end of its last session may have led to a shutdown.
    if (this.#closing) session.close();
  }

  #add(incoming: Incoming, admission: Admission): ServerSession {
    const id = ++this.#lastId;
    const session = new ServerSession(id, this, incoming, admission);
    session.place = this.#sessions.push(session) - 1;
    return session;
  }

  async #openLater(
    incoming: Incoming,
    pending: PendingAdmission,
  ): Promise<void> {
    const { clock, timeouts } = this.settings;
    const started = clock.now();
    // Read now: a closed socket no longer reports it.
    const client = incoming.client ?? (this.emit && incoming.conn.remoteAddr);
    const known = { ...incoming, client };
    this.#asking++;
    try {
      const admission = await answerInTime(pending.answer, {
        clock,
        timeout: timeLeft(timeouts.handshake, incoming.waited),
        signal: this.#stopAsking ??= new AbortSwitch(),
      });
      if (this.#closing) {
        pending.cancel();
        return this.#reject(known, SHUTTING_DOWN);
      }
      const waited = incoming.waited + clock.now() - started;
      this.#open({ ...known, waited }, admission);
    } catch (error) {
      pending.cancel();
      if (this.#closing) return this.#reject(known, SHUTTING_DOWN);
      this.#reject(known, LIMITS_FAILED, toNetError(error));
    } finally {
      this.#asking--;
    }
  }

  #reject(
    { conn, raw, client }: Incoming,
    reason: string,
    error?: Error,
  ): void {
    if (this.emit) {
      const { remoteAddr } = conn;
      const rejected = { client: client ?? remoteAddr, reason };
      this.emit({
        type: "session-rejected",
        ...rejected,
        ...error && { error },
      });
    }
    closeQuietly(conn);
    if (raw !== conn) closeQuietly(raw);
  }

  ended(session: ServerSession, ending: Ending | undefined): void {
    this.#remove(session);
    if (ending) this.emit?.({ type: "session-end", session, ...ending });
    else if (!session.isKept) {
      this.emit?.({ type: "probe", client: session.client });
    }
    if (this.#closing && this.#sessions.length === 0) {
      this.#closing.then(this.#finish);
    }
  }

  update(options: ServerUpdate): Promise<void> {
    const update = () => this.#update(options);
    const updated = this.#updated.then(update, update);
    this.#updated = updated;
    return updated;
  }

  async #update(options: ServerUpdate): Promise<void> {
    const { transport } = this.settings;
    const { hostname, socketMode, port, listen, plainPort } = this.#options;
    const fixed = { hostname, socketMode, port, listen, plainPort };
    const merged = { ...this.#options, ...options, ...fixed };
    const settings = await resolveSettings(merged, transport);
    const { limits } = settings;
    this.#updateTls(settings);
    this.settings = settings;
    this.#options = merged;
    updateLimits(this.limits, limits);
  }

  #updateTls({ listen, proxyHeader }: Settings): void {
    const now = this.settings.listen?.tls;
    const next = listen?.tls;
    checkTlsKept(now, next);
    if (!next || !this.#listener) return;
    checkTlsOf(this.#listener, proxyHeader);
    if (next !== now) this.#listener.setTls?.(next);
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
    if (!this.#closing && drainDelay > 0) {
      this.#drain();
      timeout = clock.startTimeout(drainDelay, close);
    } else close();
    return this.finished.finally(() => timeout?.cancel());
  }

  #drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.emit?.({ type: "drain" });
  }

  #close(): void {
    if (this.#closing) return;
    this.#closing = this.#stopListening();
    for (const it of this.sessions as ServerSession[]) {
      if (it.isKept) it.close();
    }
    this.emit?.({ type: "shutdown" });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #stopListening(): Promise<void> {
    this.#accepting.close();
    this.#stopAsking?.abort(new NetError("aborted", SHUTTING_DOWN));
    await this.#listener?.close();
    await this.#plainListener?.close();
    if (this.#sessions.length === 0) this.#finish();
  }

  /** Moves the last session to the index of this one. */
  #remove({ place }: ServerSession): void {
    const last = this.#sessions.pop()!;
    if (last.place === place) return;
    this.#sessions[place] = last;
    last.place = place;
  }

  #closeSessions(): void {
    for (const session of this.sessions) session.close();
  }
}
