/**
 * Who may come in, and how many of them.
 *
 * @module
 */

import type { Address } from "../../transport/transport.ts";
import { clientKey } from "./client_key.ts";
import { Quota } from "./quota.ts";
import { RateLimit } from "./rate.ts";

/** Bounds on sessions; `Infinity` means no limit. */
export interface AdmissionLimits {
  /** In all. */
  readonly sessions: number;
  /** Of each client address. */
  readonly sessionsPerClient: number;
  /** Of each user. */
  readonly sessionsPerUser: number;
  /** Of each client address whose handshake is not over. */
  readonly handshakesPerClient: number;
  /** New ones of each client address in a second, and twice as many (at least 10) at once. */
  readonly connectionsPerSecond: number;
}

/** Why a client is turned away: the name of the limit that it met. */
export type RejectionReason =
  | "sessions"
  | "sessionsPerClient"
  | "handshakesPerClient"
  | "connectionsPerSecond";

/** The same in words. */
export const REJECTION_TEXT: Readonly<Record<RejectionReason, string>> = {
  sessions: "too many sessions",
  sessionsPerClient: "too many sessions from this address",
  handshakesPerClient: "too many unfinished handshakes from this address",
  connectionsPerSecond: "too many connections per second from this address",
};

/** Lets clients in, or asks somebody whether to. */
export interface Gate {
  /** The limits from now on; nobody is sent away for them. */
  set limits(limits: AdmissionLimits);
  /** Lets a client in, or says why not. Asks for its address only when that counts. */
  admit(
    conn: { readonly remote: Address },
  ): Stay | RejectionReason | Promise<Stay | RejectionReason>;
}

/** What one session that was let in takes of the limits. */
export interface Stay {
  /** The handshake is over. Idempotent. */
  handshakeDone(): void;
  /** Whether the user that this session turned out to be of may have one more; to be asked once. */
  logIn(user: string): boolean | Promise<boolean>;
  /** The session is over. Idempotent. */
  leave(): void;
}

interface Books {
  sessions: number;
  readonly clients: Quota;
  readonly handshakes: Quota;
  readonly users: Quota;
}

/** Keeps count of a server's sessions. Clients and users without a session take no memory, except that of {@linkcode RateLimit}. */
export class Admission implements Gate {
  #limits!: AdmissionLimits;
  #perClient = false;
  #rate: RateLimit | undefined;
  readonly #now: () => number;
  readonly #books: Books = {
    sessions: 0,
    clients: new Quota(Infinity),
    handshakes: new Quota(Infinity),
    users: new Quota(Infinity),
  };

  /** `now` gives milliseconds that never go back. */
  constructor(
    limits: AdmissionLimits,
    now: () => number = () => performance.now(),
  ) {
    this.#now = now;
    this.limits = limits;
  }

  /**
   * The limits from now on; nobody is sent away for them. Client addresses are
   * not counted while nothing limits them, so that a limit on them knows only
   * the sessions that came after the first one was set.
   */
  set limits(limits: AdmissionLimits) {
    const { connectionsPerSecond } = limits;
    if (connectionsPerSecond !== this.#limits?.connectionsPerSecond) {
      this.#rate = connectionsPerSecond === Infinity
        ? undefined
        : new RateLimit(connectionsPerSecond);
    }
    this.#limits = limits;
    this.#books.clients.limit = limits.sessionsPerClient;
    this.#books.handshakes.limit = limits.handshakesPerClient;
    this.#books.users.limit = limits.sessionsPerUser;
    this.#perClient = limits.sessionsPerClient !== Infinity ||
      limits.handshakesPerClient !== Infinity || this.#rate !== undefined;
  }

  /** How many are in. */
  get sessions(): number {
    return this.#books.sessions;
  }

  /** How many addresses and users are remembered. */
  get size(): number {
    const { clients, handshakes, users } = this.#books;
    return clients.size + handshakes.size + users.size;
  }

  admit(conn: { readonly remote: Address }): Visit | RejectionReason {
    if (this.#books.sessions >= this.#limits.sessions) return "sessions";
    if (!this.#perClient) return new Visit(this.#books);
    const client = clientKey(conn.remote.hostname);
    return this.#refuses(client) ?? new Visit(this.#books, client);
  }

  #refuses(client: string): RejectionReason | undefined {
    if (!this.#books.clients.hasRoom(client)) return "sessionsPerClient";
    if (!this.#books.handshakes.hasRoom(client)) return "handshakesPerClient";
    if (this.#rate?.take(client, this.#now()) === false) {
      return "connectionsPerSecond";
    }
  }
}

/** A {@linkcode Stay} of which nobody else has to know. */
export class Visit implements Stay {
  readonly #books: Books;
  readonly #client: string | undefined;
  #user: string | undefined;
  #inHandshake = true;
  #over = false;

  /** Made by {@linkcode Admission.admit}; `client` has room. */
  constructor(books: Books, client?: string) {
    this.#books = books;
    this.#client = client;
    books.sessions++;
    if (client === undefined) return;
    books.clients.take(client);
    books.handshakes.take(client);
  }

  handshakeDone(): void {
    if (!this.#inHandshake) return;
    this.#inHandshake = false;
    if (this.#client !== undefined) this.#books.handshakes.give(this.#client);
  }

  logIn(user: string): boolean {
    if (this.#over || !this.#books.users.take(user)) return false;
    this.#user = user;
    return true;
  }

  leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.handshakeDone();
    this.#books.sessions--;
    if (this.#client !== undefined) this.#books.clients.give(this.#client);
    if (this.#user !== undefined) this.#books.users.give(this.#user);
  }
}
