/**
 * One client connection, from its first octet to its end.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { REPLY } from "../protocol/reply.ts";
import { MessageReader } from "../transport/message_reader.ts";
import { relayByReading } from "../transport/relay.ts";
import { AbortSwitch } from "../transport/signal.ts";
import { startTimeout } from "../transport/timeouts.ts";
import type {
  Address,
  Conn,
  Relay,
  RelayEnd,
  RelayOwner,
} from "../transport/transport.ts";
import { NetError, toNetError } from "../transport/errors.ts";
import type { Admission } from "./limits/connection_limiter.ts";
import { bind } from "./commands/bind.ts";
import type { Command, CommandSession, Ending } from "./commands/command.ts";
import { connect } from "./commands/connect.ts";
import type {
  CommandName,
  DatagramCounts,
  ServerEvent,
  SessionPhase,
} from "./events.ts";
import type { Settings } from "./settings.ts";
import type { KeyedLimit } from "./limits/keyed_limit.ts";
import {
  type ClientRequest,
  type HandshakeNotes,
  readRequest,
  readVersion,
  Refusal,
} from "./request.ts";
import type {
  RateLimiters,
  SessionRateLimiter,
} from "./limits/rate_limiters.ts";
import type { OwnAddresses } from "./policy/own_addresses.ts";
import { udpAssociate } from "./commands/udp_associate.ts";

/** Milliseconds in which a client that gets an error reply must take it and hang up (RFC 1928 section 6 allows 10 s). */
const FAREWELL_TIME = 2_000;
/** Octets of such a client that are read, lest unread ones turn our FIN into a reset that outruns the reply. */
const FAREWELL_OCTETS = 64 * 1024;

/** The server that a session belongs to. */
export interface SessionOwner {
  readonly settings: Settings;
  readonly associations: KeyedLimit;
  readonly rateLimiters: RateLimiters;
  readonly ownAddresses: OwnAddresses;
  readonly emit: ((event: ServerEvent) => void) | undefined;
  /** Called when all is closed. */
  ended(session: ServerSession, ending: Ending): void;
}

const COMMANDS: Readonly<Record<CommandName, Command>> = {
  connect,
  bind,
  "udp-associate": udpAssociate,
};

/** Runs one session. */
export class ServerSession
  implements CommandSession, HandshakeNotes, RelayOwner {
  readonly id: number;
  /** Where the server keeps it. */
  place = 0;
  readonly startedAt: number = Date.now();
  phase: SessionPhase = "handshake";
  version?: 4 | 5;
  method?: string;
  user?: string;
  userId?: string;
  wrapped?: Conn;
  command?: CommandName;
  target?: Endpoint;
  targetAddr?: Address;
  boundAddr?: Address;
  reply?: number;
  datagrams?: DatagramCounts;
  /** Counts more than what it leads to. */
  ending: Ending | undefined;
  #client: Address | undefined;
  readonly #conn: Conn;
  readonly #owner: SessionOwner;
  readonly #admission: Admission;
  rateLimiter: SessionRateLimiter | undefined;
  #stopping: AbortSwitch | undefined;
  #relay: Relay | undefined;

  constructor(id: number, conn: Conn, owner: SessionOwner, visit: Admission) {
    this.id = id;
    this.#admission = visit;
    this.#conn = conn;
    this.#owner = owner;
    if (owner.emit) this.#client = conn.remoteAddr; // a closed socket can't tell any more
  }

  get client(): Address {
    return this.#client ??= this.#conn.remoteAddr;
  }

  get settings(): Settings {
    return this.#owner.settings;
  }

  get associations(): KeyedLimit {
    return this.#owner.associations;
  }

  isOwn(address: string): boolean {
    const { hostname } = this.#conn.localAddr;
    // A client that has gone leaves no address behind: it gets nowhere then.
    return hostname === "" || hostname === address ||
      this.#owner.ownAddresses.has(address);
  }

  get stopping(): AbortSwitch {
    return this.#stopping ??= new AbortSwitch();
  }

  get sent(): number {
    return this.#relay?.sent ?? 0;
  }

  get received(): number {
    return this.#relay?.received ?? 0;
  }

  close(): void {
    this.#stop({ reason: "closed" });
  }

  emit(event: ServerEvent): void {
    this.#owner.emit?.(event);
  }

  onAuth(ok: boolean): void {
    this.#owner.emit?.({ type: "auth", session: this, ok });
  }

  /** Serves the client until all is closed; never rejects. */
  async run(): Promise<void> {
    this.#owner.emit?.({ type: "session-start", session: this });
    const timeout = startTimeout(
      this.settings.timeouts.handshake,
      () => this.#stop({ reason: "handshake-timeout" }),
    );
    let outcome: Relay | Ending;
    try {
      const reader = new MessageReader(this.#conn);
      this.version = await readVersion(reader);
      const request = await readRequest(
        this.#conn,
        reader,
        this.settings, // by now, and not when a silent client came
        this,
      );
      timeout.cancel();
      outcome = await this.#serve(request);
    } catch (error) {
      timeout.cancel();
      outcome = await this.#failed(error);
    }
    // Most sessions spend most of their time from here on: what they needed to get so far is free by now.
    this.#stopping = undefined;
    if (!("done" in outcome)) return this.#end(outcome);
    this.#relay = outcome;
    if (this.ending) outcome.abort();
    if (outcome.ended) return this.relayEnded(await outcome.done);
    outcome.owner = this;
  }

  relayEnded(end: RelayEnd): void {
    this.#end(endingOf(end));
  }

  #end(ending: Ending): void {
    this.#hangUp();
    this.rateLimiter?.close();
    this.#admission.release();
    this.phase = "ended";
    this.#owner.ended(this, this.ending ?? ending);
  }

  /** From the request to the relay, or to why there is none. */
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
    if (await this.#admission.acquireUser(user)) {
      return await this.#command(request);
    }
    const error = new NetError("denied", "too many sessions of this user");
    return await this.refuse(request, REPLY.notAllowed, error);
  }

  #command(request: ClientRequest): Promise<Relay | Ending> {
    if (this.ending) return Promise.resolve(this.ending);
    this.rateLimiter = this.#owner.rateLimiters.open(this.user);
    return request.command
      ? COMMANDS[request.command](this, request)
      : this.refuse(request, REPLY.commandNotSupported);
  }

  relay(client: Conn, target: Conn): Relay {
    this.phase = "relay";
    const { settings: { transport, timeouts } } = this.#owner;
    const { rateLimiter } = this;
    const { idle, halfClosed } = timeouts;
    return rateLimiter
      ? relayByReading(client, target, { idle, halfClosed, rateLimiter })
      : transport.relay(client, target, timeouts);
  }

  answer(
    request: ClientRequest,
    reply: number,
    bound?: Address,
  ): Promise<void> {
    this.#emitReply(request.dialect.replyNumber(reply));
    return request.conn.write(request.dialect.encodeReply(reply, bound));
  }

  async refuse(
    request: ClientRequest,
    reply: number,
    error?: unknown,
  ): Promise<Ending> {
    const ending: Ending = { reason: "refused", error: error as Error };
    if (this.ending) return this.ending;
    await this.#lingeringClose(request.conn, () => this.answer(request, reply));
    return ending;
  }

  async #failed(error: unknown): Promise<Ending> {
    if (this.ending) return this.ending;
    if (!(error instanceof Refusal)) {
      return { reason: "client-gone", error: toNetError(error) };
    }
    const { farewell, reason, reply } = error;
    if (reply !== undefined) this.#emitReply(reply);
    if (farewell) {
      const conn = this.wrapped ?? this.#conn;
      await this.#lingeringClose(conn, () => conn.write(farewell));
    }
    return { reason, error };
  }

  #emitReply(reply: number): void {
    this.reply = reply;
    this.#owner.emit?.({ type: "reply", session: this });
  }

  /** Sends last octets so that they arrive: FIN behind them, and nothing left unread. */
  async #lingeringClose(conn: Conn, say: () => Promise<void>): Promise<void> {
    const timeout = startTimeout(FAREWELL_TIME, () => this.#hangUp());
    try {
      await say();
      await conn.closeWrite();
      let left = FAREWELL_OCTETS;
      while (left > 0) {
        const chunk = await conn.read();
        if (chunk === null) break;
        left -= chunk.length;
      }
    } catch {
      // The client has hung up, which is what it is here for.
    } finally {
      timeout.cancel();
    }
  }

  #stop(ending: Ending): void {
    if (this.phase === "ended" || this.ending) return;
    this.ending = ending;
    if (this.#relay) return this.#relay.abort();
    this.stopping.abort(new NetError("aborted", "the session was closed"));
    this.#hangUp();
  }

  #hangUp(): void {
    this.wrapped?.close();
    this.#conn.close();
  }
}

function endingOf({ reason, side, error }: RelayEnd): Ending {
  switch (reason) {
    case "finished":
    case "idle":
      return { reason };
    case "aborted":
      return { reason: "closed" };
    case "error":
      return { reason: side === "a" ? "client-gone" : "target-gone", error };
  }
}
