/**
 * One client connection, from its first byte to its end.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { REPLY } from "../protocol/reply.ts";
import { MessageReader } from "../transport/message_reader.ts";
import { closeQuietly } from "../transport/quiet.ts";
import { relayByReading } from "../transport/relay.ts";
import { AbortSwitch } from "../transport/signal.ts";
import { timeLeft, type Timeout } from "../transport/timeouts.ts";
import type { TlsFacts } from "../transport/tls_options.ts";
import type {
  Address,
  Conn,
  Relay,
  RelayEnd,
  RelayOwner,
} from "../transport/transport.ts";
import { closedError, NetError, toNetError } from "../transport/errors.ts";
import type { Accountant, CountedSession } from "./accounting/accountant.ts";
import type { Admission } from "./limits/admission.ts";
import type { CommandLimit } from "./limits/limit_table.ts";
import type { ServerLimits } from "./limits/server_limits.ts";
import type { SessionRateLimiter } from "./limits/session_rate_limiter.ts";
import type { CommandSession, Traffic } from "./commands/command.ts";
import { COMMANDS } from "./commands/commands.ts";
import { type Ending, endingOf, errorOf } from "./commands/ending.ts";
import type {
  CommandName,
  DatagramCounts,
  ProtocolName,
  ServerEvent,
  SessionFacts,
  SessionPhase,
} from "./events.ts";
import type { Settings } from "./settings.ts";
import type { Incoming } from "./accept.ts";
import { ClientSide } from "./client_side.ts";
import { lingeringClose } from "./lingering_close.ts";
import { factsOf } from "./session_facts.ts";
import { acquireSlot, releaseSlot, slotError } from "./session_slots.ts";
import { detectFrontend } from "./frontends/detect.ts";
import type {
  ClientRequest,
  Frontend,
  HandshakeSession,
} from "./frontends/frontend.ts";
import { Refusal } from "./frontends/refusal.ts";
import type { OwnAddresses } from "./policy/own_addresses.ts";

/** The server that a session belongs to. */
export interface SessionOwner {
  readonly settings: Settings;
  readonly limits: ServerLimits;
  readonly ownAddresses: OwnAddresses;
  readonly emit: ((event: ServerEvent) => void) | undefined;
  /** Counts what users transfer, if that is wanted. */
  readonly accountant: Accountant | undefined;
  /** Whether the server is being shut down, and clients should go elsewhere. */
  readonly isDraining: boolean;
  /**
   * Called when the session and all its sockets are closed; without an ending if the
   * client has closed the connection before its first byte.
   */
  ended(session: ServerSession, ending: Ending | undefined): void;
  /** Serves the next request of a connection. */
  serveNext(incoming: Incoming, admission: Admission): void;
}

/** Runs one session. */
export class ServerSession
  implements CommandSession, HandshakeSession, RelayOwner, CountedSession {
  readonly id: number;
  /** Its index in the server's list. */
  place = 0;
  startedAt: number = Date.now();
  /** The times of the start and the end, by the clock of the transport. */
  #started: number;
  #ended: number | undefined;
  /**
   * Whether the event `session-start` was emitted; `kept` before the first byte of a later
   * request on a connection.
   */
  #isKnown: boolean | "kept" = false;
  phase: SessionPhase = "handshake";
  method?: string;
  user?: string;
  sessionWord?: string;
  userId?: string;
  wrapped?: Conn;
  command?: CommandName;
  target?: Endpoint;
  targetAddr?: Address;
  boundAddr?: Address;
  via?: string;
  reply?: number;
  datagrams?: DatagramCounts;
  traffic?: Traffic;
  readonly exposed: boolean;
  ending: Ending | undefined;
  readonly #side: ClientSide;
  #frontend: Frontend | undefined;
  readonly #owner: SessionOwner;
  readonly #admission: Admission;
  rateLimiter: SessionRateLimiter | undefined;
  #stopping: AbortSwitch | undefined;
  #relay: Relay | undefined;

  constructor(
    id: number,
    owner: SessionOwner,
    incoming: Incoming,
    admission: Admission,
  ) {
    this.id = id;
    this.exposed = incoming.exposed;
    this.#admission = admission;
    // Events will show the client.
    this.#side = new ClientSide(incoming, owner.emit !== undefined);
    this.#owner = owner;
    this.#started = owner.settings.clock.now();
  }

  get client(): Address {
    return this.#side.client;
  }

  get protocol(): ProtocolName | undefined {
    return this.#frontend?.name;
  }

  get version(): 4 | 5 | undefined {
    return this.#frontend?.version;
  }

  get tls(): TlsFacts | undefined {
    return this.#side.tls;
  }

  get settings(): Settings {
    return this.#owner.settings;
  }

  isOwn(address: string): boolean {
    return this.#side.isReachedAt(address) ||
      this.#owner.ownAddresses.has(address) ||
      this.settings.egress.own.has(address);
  }

  reachedAt(conn: Conn): Address {
    return this.#side.reachedAt(conn);
  }

  get duration(): number {
    return (this.#ended ?? this.settings.clock.now()) - this.#started;
  }

  get stopping(): AbortSwitch {
    return this.#stopping ??= this.#newSwitch();
  }

  /** User code may read the signal for the first time after the session has ended. */
  #newSwitch(): AbortSwitch {
    const stopping = new AbortSwitch();
    if (this.ending || this.phase === "ended") stopping.abort(sessionClosed());
    return stopping;
  }

  get sent(): number {
    return (this.#relay ?? this.traffic)?.sent ?? 0;
  }

  get received(): number {
    return (this.#relay ?? this.traffic)?.received ?? 0;
  }

  get servesMore(): boolean {
    return this.settings.servesHttp && !this.#owner.isDraining;
  }

  /** Whether the client has sent nothing since its last request was served. */
  get isKept(): boolean {
    return this.#isKnown === "kept";
  }

  close(): void {
    this.#stop({ reason: "closed" });
  }

  end(reason: "quota" | "expired", error: NetError): void {
    this.#stop({ reason, error });
  }

  toJSON(): SessionFacts {
    return factsOf(this);
  }

  /** Node.js and Bun print this by `console.log()`. */
  [Symbol.for("nodejs.util.inspect.custom")](): SessionFacts {
    return this.toJSON();
  }

  /** Deno prints this. */
  [Symbol.for("Deno.privateCustomInspect")](
    inspect: (value: unknown, options: unknown) => string,
    options: unknown,
  ): string {
    return inspect(this.toJSON(), options);
  }

  /** Ends the session, because its request was not complete in time. */
  expire(): void {
    this.#stop({
      reason: "handshake-timeout",
      ...this.#side.waitsForTls && { error: noTlsInTime() },
    });
  }

  emit(event: ServerEvent): void {
    this.#owner.emit?.(event);
  }

  onAuth(ok: boolean): void {
    this.#owner.emit?.({ type: "auth", session: this, ok });
  }

  /** Serves another request of a client that was served before. Never rejects. */
  runNext(): Promise<void> {
    this.#isKnown = "kept";
    return this.run(0);
  }

  /**
   * Serves the client until everything is closed. `waited` milliseconds of the
   * handshake timeout have already passed. Never rejects.
   */
  async run(waited: number): Promise<void> {
    let timeout = this.#startHandshake(waited);
    let outcome: Relay | Ending;
    try {
      const { conn } = this.#side;
      const reader = new MessageReader(conn);
      const frontend = await detectFrontend(reader, this.settings.servesHttp);
      this.user = this.tls?.clientName;
      if (this.isKept) {
        // It came within the time that the client was told.
        timeout.cancel();
        timeout = this.#startHandshake(0);
      }
      this.#announce();
      this.#frontend = frontend;
      // An update may have changed the options by which the client was admitted. A
      // certificate counts as a login.
      const isOpen = this.exposed && !this.settings.servesExposed;
      if (isOpen && this.user === undefined) {
        throw new Refusal(
          "no-method",
          "no longer everyone needs a login",
        );
      }
      const request = await frontend.read({
        conn,
        reader,
        settings: this.settings, // those of now, not of when the client connected
        session: this,
      });
      timeout.cancel();
      outcome = await this.#serve(request);
    } catch (error) {
      timeout.cancel();
      outcome = await this.#failed(error);
    }
    // Only the relay follows, in which most sessions spend most of their time: release
    // the memory that the handshake needed.
    this.#stopping = undefined;
    if (!("done" in outcome)) return this.#end(outcome);
    this.#relay = outcome;
    if (this.ending) outcome.abort();
    if (outcome.ended) return this.relayEnded(await outcome.done);
    outcome.owner = this;
  }

  #startHandshake(waited: number): Timeout {
    const { clock, timeouts } = this.settings;
    const left = timeLeft(timeouts.handshake, waited);
    return clock.startTimeout(left, handshakeExpired, this);
  }

  /** Emits the event `session-start`, if that has not happened yet. */
  #announce(): void {
    if (this.#isKnown === true) return;
    if (this.#isKnown) {
      this.startedAt = Date.now();
      this.#started = this.settings.clock.now();
    }
    this.#isKnown = true;
    this.#owner.emit?.({ type: "session-start", session: this });
  }

  relayEnded(end: RelayEnd): void {
    this.#end(endingOf(end));
  }

  #end(ending: Ending): void {
    const last = this.ending ?? ending;
    const next = this.#passOn();
    if (!next) this.#hangUp();
    this.rateLimiter?.close();
    this.#admission.release();
    const isSilent = this.isKept ||
      !this.#isKnown && last.reason === "client-gone";
    if (!isSilent) this.#announce();
    this.phase = "ended";
    this.#ended = this.settings.clock.now();
    this.#owner.ended(this, isSilent ? undefined : last);
    if (next) this.#owner.serveNext(this.#side.again(this.exposed), next);
  }

  /** The slots of the connection, if another request may follow on it. */
  #passOn(): Admission | undefined {
    const keeps = this.traffic?.keepsClient && !this.ending && this.servesMore;
    return keeps ? this.#admission.passOn() : undefined;
  }

  /** Runs the request's command. Resolves with its relay, or with the ending if there is none. */
  #serve(request: ClientRequest): Promise<Relay | Ending> {
    this.#admission.handshakeDone();
    this.command = request.command;
    this.target = request.target;
    this.#owner.emit?.({ type: "request", session: this });
    return this.user === undefined
      ? this.#command(request)
      : this.#logIn(request, this.user);
  }

  async #logIn(request: ClientRequest, user: string): Promise<Relay | Ending> {
    const { accountant } = this.#owner;
    const error = (accountant && await accountant.check(user, this)) ??
      await slotError(
        this,
        "sessionsPerUser",
        this.#admission.acquireUser(user),
      );
    return error
      ? await this.refuse(request, REPLY.notAllowed, error)
      : await this.#command(request);
  }

  acquire(name: CommandLimit): Promise<NetError | undefined> {
    return acquireSlot(this, this.#owner.limits.commands, name);
  }

  release(name: CommandLimit): void {
    releaseSlot(this, this.#owner.limits.commands, name);
  }

  #command(request: ClientRequest): Promise<Relay | Ending> {
    if (this.ending) return Promise.resolve(this.ending);
    const { accountant, limits } = this.#owner;
    this.rateLimiter = limits.rateLimiters.open(this.user);
    if (this.user !== undefined) accountant?.open(this.user, this);
    return request.command
      ? COMMANDS[request.command](this, request)
      : this.refuse(request, REPLY.commandNotSupported);
  }

  relay(client: Conn, target: Conn): Relay {
    this.phase = "relay";
    const { transport, relay } = this.#owner.settings;
    const { rateLimiter } = this;
    return rateLimiter
      ? relayByReading(client, target, { ...relay, rateLimiter })
      : transport.relay(client, target, relay);
  }

  answer(
    request: ClientRequest,
    reply: number,
    bound?: Address,
  ): Promise<void> {
    if (this.ending) return Promise.reject(closedError());
    this.replied(request.dialect.replyNumber(reply));
    return request.conn.write(request.dialect.encodeReply(reply, bound));
  }

  async complete(request: ClientRequest, bound: Address): Promise<Ending> {
    let isSent = false;
    const send = async () => {
      await this.answer(request, REPLY.succeeded, bound);
      isSent = true;
    };
    await this.#lingeringClose(request.conn, send);
    return { reason: isSent ? "finished" : "client-gone" };
  }

  async refuse(
    request: ClientRequest,
    reply: number,
    error?: unknown,
  ): Promise<Ending> {
    if (this.ending) return this.ending;
    const send = () => this.answer(request, reply);
    await this.#lingeringClose(request.conn, send);
    return { reason: "refused", error: errorOf(error) };
  }

  async #failed(error: unknown): Promise<Ending> {
    if (this.ending) return this.ending;
    if (!(error instanceof Refusal)) {
      const gone = toNetError(error);
      const reason = gone.kind === "tls" ? "tls-failed" : "client-gone";
      return { reason, error: gone };
    }
    this.#announce();
    const { farewell, reason, reply } = error;
    if (reply !== undefined) this.replied(reply);
    if (farewell) {
      const conn = this.wrapped ?? this.#side.conn;
      await this.#lingeringClose(conn, () => conn.write(farewell));
    }
    return { reason, error };
  }

  replied(reply: number): void {
    this.reply = reply;
    this.#owner.emit?.({ type: "reply", session: this });
  }

  linger(conn: Conn): Promise<void> {
    return this.#lingeringClose(conn, () => Promise.resolve());
  }

  #lingeringClose(conn: Conn, send: () => Promise<void>): Promise<void> {
    const { clock } = this.settings;
    // The content of an HTTP request, which is sent without an answer, may be long.
    const bytes = this.protocol === "http" ? Infinity : undefined;
    const giveUp = () => this.#hangUp();
    return lingeringClose(conn, { send, clock, bytes, giveUp });
  }

  #stop(ending: Ending): void {
    if (this.phase === "ended" || this.ending) return;
    this.ending = ending;
    if (this.#relay) return this.#relay.abort();
    this.stopping.abort(sessionClosed());
    this.#hangUp();
  }

  #hangUp(): void {
    closeQuietly(this.wrapped);
    this.#side.close();
  }
}

// Shared by all sessions, so that no session allocates a closure.
function handshakeExpired(session: ServerSession): void {
  session.expire();
}

/** A greeting of SOCKS5 is too short for a record of TLS, which then waits for the rest. */
function noTlsInTime(): NetError {
  const message =
    "the TLS handshake is not complete: the client may not speak TLS";
  return new NetError("timeout", message);
}

function sessionClosed(): NetError {
  return new NetError("aborted", "the session was closed");
}
