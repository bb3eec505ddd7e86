/**
 * The limits of a server that shares them with others: what is its own it takes
 * at once, for everything else it asks.
 *
 * @module
 */

import type { Address } from "../../transport/transport.ts";
import {
  type AdmissionLimits,
  countsClients,
  type Gate,
  type RejectionReason,
  type SessionPlaces,
  setLimits,
  Visit,
} from "../limits/connection_limiter.ts";
import {
  type Counted,
  EVERYONE,
  ownPlaces,
  type SharedBooks,
} from "./store.ts";
import { clientKey } from "../client_key.ts";
import type { Places } from "../limits/keyed_limit.ts";
import { Throttle, Turn, type UserThrottle } from "../limits/rate_limiter.ts";

interface Taken {
  own: number;
  common: number;
}

/** As `Quota`, of which this is one server's part. */
export class SharedQuota implements Places {
  readonly #what: Counted;
  readonly #books: SharedBooks;
  readonly #servers: number;
  readonly #taken = new Map<string, Taken>();
  /** How many places of each key it need not ask for. */
  #own = 0;

  constructor(
    what: Counted,
    limit: number,
    books: SharedBooks,
    servers: number,
  ) {
    this.#what = what;
    this.#books = books;
    this.#servers = servers;
    this.limit = limit;
  }

  /** How many keys have some. */
  get size(): number {
    return this.#taken.size;
  }

  /** How many each key may have on all servers. What is more than the server's own then is told. */
  set limit(limit: number) {
    this.#own = ownPlaces(limit, this.#servers);
    for (const [key, taken] of this.#taken) {
      const excess = taken.own - this.#own;
      if (excess <= 0) continue;
      this.#books.claim([this.#what, key], excess);
      taken.own -= excess;
      taken.common += excess;
    }
  }

  /** Takes one that need not be asked for, if there is one. */
  takeOwn(key: string): boolean {
    if (this.#own === 0) return false;
    const taken = this.#of(key);
    if (taken.own >= this.#own) return false;
    taken.own++;
    return true;
  }

  /** Takes one that was asked for. */
  takeCommon(key: string): void {
    this.#of(key).common++;
  }

  take(key: string): boolean | Promise<boolean> {
    return this.takeOwn(key) || this.#ask(key);
  }

  give(key: string): void {
    const taken = this.#of(key);
    if (taken.common > 0) {
      taken.common--;
      this.#books.give([[this.#what, key]]);
    } else taken.own--;
    if (taken.own + taken.common === 0) this.#taken.delete(key);
  }

  async #ask(key: string): Promise<boolean> {
    const refused = await this.#books.take([[this.#what, key]]);
    if (refused !== null) return false;
    this.takeCommon(key);
    return true;
  }

  #of(key: string): Taken {
    let taken = this.#taken.get(key);
    if (!taken) this.#taken.set(key, taken = { own: 0, common: 0 });
    return taken;
  }
}

/** What a client takes that comes in. */
type ClientWant = readonly [what: RejectionReason, key: string];

/** As `Admission`, of which this is one server's part. */
export class SharedAdmission implements Gate {
  readonly #books: SharedBooks;
  readonly #quotas: SessionPlaces<SharedQuota>;
  #perClient = false;
  #perSecond = false;

  constructor(limits: AdmissionLimits, books: SharedBooks, servers: number) {
    const quota = (what: keyof SessionPlaces) =>
      new SharedQuota(what, limits[what], books, servers);
    this.#books = books;
    this.#quotas = {
      sessions: quota("sessions"),
      sessionsPerClient: quota("sessionsPerClient"),
      handshakesPerClient: quota("handshakesPerClient"),
      sessionsPerUser: quota("sessionsPerUser"),
    };
    this.limits = limits;
  }

  set limits(limits: AdmissionLimits) {
    setLimits(this.#quotas, limits);
    this.#perSecond = limits.connectionsPerSecond !== Infinity;
    this.#perClient = countsClients(limits);
  }

  admit(
    conn: { readonly remote: Address },
  ): Visit | RejectionReason | Promise<Visit | RejectionReason> {
    const client = this.#perClient
      ? clientKey(conn.remote.hostname)
      : undefined;
    const wants = wantsOf(client, this.#perSecond);
    const missing = wants.filter(([what, key]) =>
      what === "connectionsPerSecond" || !this.#quotas[what].takeOwn(key)
    );
    const visit = new Visit(this.#quotas, client);
    return missing.length === 0 ? visit : this.#ask(wants, missing, visit);
  }

  async #ask(
    wants: readonly ClientWant[],
    missing: readonly ClientWant[],
    visit: Visit,
  ): Promise<Visit | RejectionReason> {
    const refused = await this.#books.take(missing);
    for (const want of wants) {
      const [what, key] = want;
      if (what === "connectionsPerSecond") continue;
      const isMissing = missing.includes(want);
      if (refused === null && isMissing) this.#quotas[what].takeCommon(key);
      if (refused !== null && !isMissing) this.#quotas[what].give(key);
    }
    return refused === null ? visit : refused as RejectionReason;
  }
}

/** What a client that comes in takes, in the order in which it is asked for. */
function wantsOf(client: string | undefined, perSecond: boolean): ClientWant[] {
  const wants: ClientWant[] = [["sessions", EVERYONE]];
  if (client === undefined) return wants;
  wants.push(["sessionsPerClient", client], ["handshakesPerClient", client]);
  if (perSecond) wants.push(["connectionsPerSecond", client]);
  return wants;
}

/**
 * As `Throttle`, of a user who may have sessions on other servers as well: each
 * piece has its turn in the one queue that is in the books. Datagrams cannot
 * wait for one, so some of their octets pass on credit.
 */
export class SharedThrottle implements UserThrottle {
  rate: number;
  static #lastTicket = 0;
  readonly #user: string;
  readonly #books: SharedBooks;
  readonly #tickets = new Map<Turn, number>();
  /** Octets that have passed without asking, and have not had their turn yet. */
  #owed = 0;
  #isPaying = false;

  constructor(user: string, rate: number, books: SharedBooks) {
    this.#user = user;
    this.rate = rate;
    this.#books = books;
  }

  get slice(): number {
    return Throttle.slice(this.rate);
  }

  queue(octets: number): Turn | undefined {
    if (this.rate === Infinity) return undefined;
    const turn = new Turn(octets);
    const ticket = ++SharedThrottle.#lastTicket;
    this.#tickets.set(turn, ticket);
    this.#books.pass(ticket, this.#user, octets).then(() => {
      this.#tickets.delete(turn);
      turn.call();
    });
    return turn;
  }

  leave(turn: Turn): void {
    const ticket = this.#tickets.get(turn);
    if (ticket === undefined) return;
    this.#books.leave(ticket);
    turn.call();
  }

  mayPass(): boolean {
    if (this.#owed < this.slice || this.rate === Infinity) return true;
    if (!this.#isPaying) void this.#pay(); // the rate may have become lower
    return false;
  }

  take(octets: number): void {
    if (this.rate === Infinity) return;
    this.#owed += octets;
    if (this.#owed > this.slice / 2 && !this.#isPaying) void this.#pay();
  }

  /** Pays what is owed, however little; whether nothing is. */
  settle(): boolean {
    if (this.#owed > 0 && !this.#isPaying) void this.#pay();
    return this.#owed === 0;
  }

  /** Nobody needs it any more. */
  close(): void {
    this.#books.part(this.#user);
  }

  /** Pays until little is owed. */
  async #pay(): Promise<void> {
    this.#isPaying = true;
    do {
      const octets = this.#owed;
      await this.queue(octets)?.come;
      this.#owed -= octets;
    } while (this.#owed > this.slice / 2);
    this.#isPaying = false;
  }
}
