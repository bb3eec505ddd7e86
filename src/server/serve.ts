/**
 * The server.
 *
 * @module
 */

import { detectTransport } from "../transport/detect.ts";
import { startTimeout } from "../transport/timeouts.ts";
import type { Address, Conn, Listener } from "../transport/transport.ts";
import type { Ending } from "./commands/command.ts";
import type { ServerEvent, Session } from "./events.ts";
import type { ServeOptions } from "./options.ts";
import { resolveSettings, type Settings } from "./settings.ts";
import {
  type Admission,
  type ConnectionLimiter,
  REJECTION_TEXT,
  type RejectionReason,
} from "./limits/connection_limiter.ts";
import type { SharedLimitsStore } from "./cluster/store.ts";
import {
  localLimits,
  type ServerLimits,
  sharedLimits,
} from "./limits/server_limits.ts";
import type { KeyedLimit } from "./limits/keyed_limit.ts";
import type { RateLimiters } from "./limits/rate_limiters.ts";
import { OwnAddresses } from "./policy/own_addresses.ts";
import { ServerSession, type SessionOwner } from "./session.ts";

/** How to shut down. */
export interface ShutdownOptions {
  /** Milliseconds that sessions have to end by themselves; 0 ends them at once. @default {10_000} */
  readonly grace?: number;
}

/** What can be changed of a running server. */
export type ServerUpdate = Omit<
  ServeOptions,
  "hostname" | "port" | "reusePort" | "signal" | "onEvent" | "transport"
>;

/** A running server. */
export interface Server extends AsyncDisposable {
  /** Where it listens. */
  readonly addr: Address;
  /** The sessions that live now. */
  readonly sessions: readonly Session[];
  /** Settles when the server has been shut down and the last session is over. */
  readonly finished: Promise<void>;
  /**
   * Serves one more connection, of whatever origin, under the same options and
   * limits. A policy is only asked about clients whose `remoteAddr` is known; others
   * get nowhere.
   */
  handle(conn: Conn): void;
  /**
   * Puts options in place of those before, without ending a session: what is
   * asked for from now on is judged by them, but a login that has begun by
   * those before. A group such as `limits` is replaced as a whole, `undefined`
   * means the default. When it rejects, all stays as it was. One update waits
   * for the one before.
   *
   * @throws {TypeError} as {@linkcode serve} does.
   */
  update(options: ServerUpdate): Promise<void>;
  /**
   * Takes no more clients, lets the sessions end by themselves, and ends those
   * that have not when the grace time is over. May be called again with less
   * time. `await using` calls it with the default.
   */
  shutdown(options?: ShutdownOptions): Promise<void>;
}

/**
 * Starts a server for SOCKS4, SOCKS4a and SOCKS5 (RFC 1928, RFC 1929).
 *
 * By default it listens on 127.0.0.1:1080 and asks for no login. Beyond
 * loopback it needs a login, or `openProxy: true`.
 *
 * @throws {TypeError} when an option makes no sense, or would make an open proxy.
 * @throws {NetError} when it cannot listen: `addr-in-use`, `addr-not-available`, `denied`.
 *
 * @example
 * ```ts
 * await using server = await serve({ port: 0 });
 * console.log(`socks5://127.0.0.1:${server.addr.port}`);
 * ```
 *
 * @example With a login
 * ```ts
 * import { userPass } from "./auth/auth.ts";
 *
 * await using server = await serve({
 *   port: 0,
 *   auth: [userPass({ alice: "correct horse" })],
 *   onEvent: (event) => console.log(event.type),
 * });
 * ```
 */
export async function serve(options: ServeOptions = {}): Promise<Server> {
  const settings = await settingsOf(options);
  return await start(settings, options, localLimits(settings.limits));
}

/** As {@linkcode serve}, as one of several servers whose limits hold for all of them together. */
export async function serveSharing(
  options: ServeOptions,
  books: SharedLimitsStore,
  servers: number,
): Promise<Server> {
  const settings = await settingsOf(options);
  const counts = sharedLimits(settings.limits, books, servers);
  return await start(settings, options, counts);
}

async function settingsOf(options: ServeOptions): Promise<Settings> {
  const transport = options.transport ?? await detectTransport();
  return await resolveSettings(options, transport);
}

async function start(
  settings: Settings,
  options: ServeOptions,
  counts: ServerLimits,
): Promise<Server> {
  const server = new SocksServer(settings, options, counts);
  await server.listen(options.signal);
  return server;
}

class SocksServer implements Server, SessionOwner {
  readonly finished: Promise<void>;
  settings: Settings;
  readonly associations: KeyedLimit;
  readonly rateLimiters: RateLimiters;
  readonly ownAddresses: OwnAddresses;
  readonly emit: ((event: ServerEvent) => void) | undefined;
  /** In no order; each knows its place, so that to come and to go costs the same however many there are. */
  readonly #sessions: ServerSession[] = [];
  readonly #admission: ConnectionLimiter;
  #options: ServeOptions;
  #finish!: () => void;
  #listener!: Listener;
  #lastId = 0;
  #updated: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(
    settings: Settings,
    options: ServeOptions,
    counts: ServerLimits,
  ) {
    this.settings = settings;
    this.#options = options;
    this.associations = counts.associations;
    this.rateLimiters = counts.rateLimiters;
    this.#admission = counts.connections;
    this.ownAddresses = new OwnAddresses(settings.transport);
    this.emit = options.onEvent;
    this.finished = new Promise((resolve) => this.#finish = resolve);
  }

  get addr(): Address {
    return this.#listener.addr;
  }

  get sessions(): readonly Session[] {
    return this.#sessions.slice().sort((a, b) => a.id - b.id);
  }

  async listen(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.#listener = await this.settings.transport.listen(
      this.settings,
      (conn) => this.handle(conn),
      (error) => this.emit?.({ type: "accept-error", error }),
    );
    this.emit?.({ type: "listening", addr: this.addr });
    const onAbort = () => void this.shutdown({ grace: 0 });
    signal?.addEventListener("abort", onAbort);
    this.finished.then(() => signal?.removeEventListener("abort", onAbort));
    if (!signal?.aborted) return;
    await this.shutdown({ grace: 0 });
    throw signal.reason;
  }

  handle(conn: Conn): void {
    if (this.#closing) return this.#reject(conn, "the server is shutting down");
    const answer = this.#admission.admit(conn);
    if (answer instanceof Promise) void this.#enterLater(conn, answer);
    else this.#enter(conn, answer);
  }

  #enter(conn: Conn, answer: Admission | RejectionReason): void {
    if (typeof answer === "string") {
      return this.#reject(conn, REJECTION_TEXT[answer]);
    }
    const session = new ServerSession(++this.#lastId, conn, this, answer);
    session.place = this.#sessions.push(session) - 1;
    session.run();
  }

  async #enterLater(
    conn: Conn,
    coming: Promise<Admission | RejectionReason>,
  ): Promise<void> {
    const answer = await coming;
    if (!this.#closing) return this.#enter(conn, answer);
    if (typeof answer !== "string") answer.release();
    this.#reject(conn, "the server is shutting down");
  }

  #reject(conn: Conn, reason: string): void {
    this.emit?.({ type: "session-rejected", client: conn.remoteAddr, reason });
    conn.close();
  }

  ended(session: ServerSession, ending: Ending): void {
    this.#remove(session);
    this.emit?.({ type: "session-end", session, ...ending });
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
    const { hostname, port, transport } = this.settings;
    const merged = { ...this.#options, ...options, hostname, port };
    const settings = await resolveSettings(merged, transport);
    const { limits } = settings;
    this.settings = settings;
    this.#options = merged;
    this.associations.limit = limits.associationsPerClient;
    this.rateLimiters.limits = limits;
    this.#admission.limits = limits;
  }

  shutdown({ grace = 10_000 }: ShutdownOptions = {}): Promise<void> {
    if (!this.#closing) {
      this.#closing = this.#stopListening();
      this.emit?.({ type: "shutdown" });
    }
    if (grace === 0) this.#closeSessions();
    const timeout = startTimeout(grace, () => this.#closeSessions());
    return this.finished.finally(() => timeout.cancel());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #stopListening(): Promise<void> {
    await this.#listener.close();
    if (this.#sessions.length === 0) this.#finish();
  }

  /** Puts the last session into the place of this one. */
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
