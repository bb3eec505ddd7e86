/**
 * Who may come in, and how many of them.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Address } from "../../transport/transport.ts";
import { type CountedLimit, EVERYONE } from "../cluster/store.ts";
import { clientKey } from "../client_key.ts";
import { type KeyedLimit, LocalKeyedLimit } from "./keyed_limit.ts";
import { type KeyedRateLimit, keyedRateLimit } from "./keyed_rate_limit.ts";

/** Bounds on sessions; `Infinity` means no limit. */
export interface ConnectionLimits {
  /** In all. */
  readonly sessions: number;
  /** Of each client address. */
  readonly sessionsPerClient: number;
  /** Of each user. */
  readonly sessionsPerUser: number;
  /** Of each client address whose handshake is not over. */
  readonly handshakesPerClient: number;
  /** New ones of each client address in a second, and twice as many (at least 10) at once. */
  readonly connectionsPerSecondPerClient: number;
}

/** Why a client is turned away: the name of the limit that it met. */
export type RejectionReason =
  | "sessions"
  | "sessionsPerClient"
  | "handshakesPerClient"
  | "connectionsPerSecondPerClient";

/** The same in words. */
export const REJECTION_TEXT: Readonly<Record<RejectionReason, string>> = {
  sessions: "too many sessions",
  sessionsPerClient: "too many sessions from this address",
  handshakesPerClient: "too many unfinished handshakes from this address",
  connectionsPerSecondPerClient:
    "too many connections per second from this address",
};

/** Lets clients in, or asks somebody whether to. */
export interface ConnectionLimiter {
  /** The limits from now on; nobody is sent away for them. */
  set limits(limits: ConnectionLimits);
  /** Lets a client in, or says why not. Asks for its address only when that counts. */
  admit(
    conn: { readonly remoteAddr: Address },
  ): Admission | RejectionReason | Promise<Admission | RejectionReason>;
}

/** Where the places of sessions are taken, by the name of the limit. */
export type SessionLimits<T extends KeyedLimit = KeyedLimit> = Readonly<
  Record<Exclude<CountedLimit, "associationsPerClient">, T>
>;

/** Keeps count of a server's sessions. Clients and users without a session take no memory, except that of {@linkcode KeyedRateLimit}. */
export class LocalConnectionLimiter implements ConnectionLimiter {
  readonly #clock: Clock;
  readonly #places: SessionLimits<LocalKeyedLimit> = {
    sessions: new LocalKeyedLimit(Infinity),
    sessionsPerClient: new LocalKeyedLimit(Infinity),
    handshakesPerClient: new LocalKeyedLimit(Infinity),
    sessionsPerUser: new LocalKeyedLimit(Infinity),
  };
  #perClient = false;
  #rate: KeyedRateLimit | undefined;

  constructor(limits: ConnectionLimits, clock: Clock = systemClock) {
    this.#clock = clock;
    this.limits = limits;
  }

  /**
   * The limits from now on; nobody is sent away for them. Client addresses are
   * not counted while nothing limits them, so that a limit on them knows only
   * the sessions that came after the first one was set.
   */
  set limits(limits: ConnectionLimits) {
    setLimits(this.#places, limits);
    this.#rate = keyedRateLimit(
      limits.connectionsPerSecondPerClient,
      this.#rate,
    );
    this.#perClient = countsClients(limits);
  }

  /** How many are in. */
  get sessions(): number {
    return this.#places.sessions.countOf(EVERYONE);
  }

  /** How many keys are remembered. */
  get size(): number {
    const sizes = Object.values(this.#places).map(({ size }) => size);
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  admit(conn: { readonly remoteAddr: Address }): Admission | RejectionReason {
    const places = this.#places;
    if (!places.sessions.hasRoom(EVERYONE)) return "sessions";
    let client: string | undefined;
    if (this.#perClient) {
      client = clientKey(conn.remoteAddr.hostname);
      const refused = this.#refuses(client);
      if (refused) return refused;
      places.sessionsPerClient.acquire(client);
      places.handshakesPerClient.acquire(client);
    }
    places.sessions.acquire(EVERYONE);
    return new Admission(places, client);
  }

  #refuses(client: string): RejectionReason | undefined {
    const { sessionsPerClient, handshakesPerClient } = this.#places;
    if (!sessionsPerClient.hasRoom(client)) return "sessionsPerClient";
    if (!handshakesPerClient.hasRoom(client)) return "handshakesPerClient";
    if (this.#rate?.take(client, this.#clock.now()) === false) {
      return "connectionsPerSecondPerClient";
    }
  }
}

/** How many places there are from now on. */
export function setLimits(
  places: SessionLimits,
  limits: ConnectionLimits,
): void {
  places.sessions.limit = limits.sessions;
  places.sessionsPerClient.limit = limits.sessionsPerClient;
  places.handshakesPerClient.limit = limits.handshakesPerClient;
  places.sessionsPerUser.limit = limits.sessionsPerUser;
}

/** Whether anything limits what a client address may have. */
export function countsClients(
  { sessionsPerClient, handshakesPerClient, connectionsPerSecondPerClient }:
    ConnectionLimits,
): boolean {
  return sessionsPerClient !== Infinity || handshakesPerClient !== Infinity ||
    connectionsPerSecondPerClient !== Infinity;
}

/** The places of one session that was let in. */
export class Admission {
  readonly #places: SessionLimits;
  readonly #client: string | undefined;
  #user: string | undefined;
  #inHandshake = true;
  #over = false;

  /** For whom a place of each is taken; of those of a client's address only with one. */
  constructor(places: SessionLimits, client?: string) {
    this.#places = places;
    this.#client = client;
  }

  /** The handshake is over. Idempotent. */
  handshakeDone(): void {
    if (!this.#inHandshake) return;
    this.#inHandshake = false;
    const client = this.#client;
    if (client !== undefined) this.#places.handshakesPerClient.release(client);
  }

  /** Whether the user that this session turned out to be of may have one more; to be asked once. */
  acquireUser(user: string): boolean | Promise<boolean> {
    if (this.#over) return false;
    const taken = this.#places.sessionsPerUser.acquire(user);
    return taken instanceof Promise
      ? taken.then((it) => it && this.#keep(user))
      : taken && this.#keep(user);
  }

  /** It may be over by now. */
  #keep(user: string): boolean {
    if (this.#over) this.#places.sessionsPerUser.release(user);
    else this.#user = user;
    return !this.#over;
  }

  /** The session is over. Idempotent. */
  release(): void {
    if (this.#over) return;
    this.#over = true;
    this.handshakeDone();
    const { sessions, sessionsPerClient, sessionsPerUser } = this.#places;
    sessions.release(EVERYONE);
    if (this.#client !== undefined) sessionsPerClient.release(this.#client);
    if (this.#user !== undefined) sessionsPerUser.release(this.#user);
  }
}
