/**
 * The limits of a server that shares them with others: what is its own it takes
 * at once, for everything else it asks.
 *
 * @module
 */

import type { Clock } from "../../transport/clock.ts";
import type { Address } from "../../transport/transport.ts";
import { RateLimiters } from "../limits/rate_limiters.ts";
import type { ServerLimits } from "../limits/server_limits.ts";
import type { Limits, SharedLimits } from "../options.ts";
import {
  Admission,
  type ConnectionLimiter,
  type ConnectionLimits,
  countsClients,
  type RejectionReason,
  type SessionLimits,
  setLimits,
} from "../limits/connection_limiter.ts";
import {
  type CountedLimit,
  EVERYONE,
  reserved,
  type SharedLimitsStore,
} from "./store.ts";
import { clientKey } from "../client_key.ts";
import type { KeyedLimit } from "../limits/keyed_limit.ts";
import {
  RateLimiter,
  type UserRateLimiter,
  Waiter,
} from "../limits/rate_limiter.ts";

interface Taken {
  own: number;
  common: number;
}

/** As `Quota`, of which this is one server's part. */
export class SharedKeyedLimit implements KeyedLimit {
  readonly #what: CountedLimit;
  readonly #store: SharedLimitsStore;
  readonly #servers: number;
  readonly #taken = new Map<string, Taken>();
  /** How many places of each key it need not ask for. */
  #own = 0;

  constructor(
    what: CountedLimit,
    limit: number,
    books: SharedLimitsStore,
    servers: number,
  ) {
    this.#what = what;
    this.#store = books;
    this.#servers = servers;
    this.limit = limit;
  }

  /** How many keys have some. */
  get size(): number {
    return this.#taken.size;
  }

  /** How many each key may have on all servers. What is more than the server's own then is told. */
  set limit(limit: number) {
    this.#own = reserved(limit, this.#servers);
    for (const [key, taken] of this.#taken) {
      const excess = taken.own - this.#own;
      if (excess <= 0) continue;
      this.#store.forceAcquire([this.#what, key], excess);
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

  acquire(key: string): boolean | Promise<boolean> {
    return this.takeOwn(key) || this.#ask(key);
  }

  release(key: string): void {
    const taken = this.#of(key);
    if (taken.common > 0) {
      taken.common--;
      this.#store.release([[this.#what, key]]);
    } else taken.own--;
    if (taken.own + taken.common === 0) this.#taken.delete(key);
  }

  async #ask(key: string): Promise<boolean> {
    const refused = await this.#store.acquire([[this.#what, key]]);
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
type ClientRequest = readonly [what: RejectionReason, key: string];

/** As `Admission`, of which this is one server's part. */
export class SharedConnectionLimiter implements ConnectionLimiter {
  readonly #store: SharedLimitsStore;
  readonly #quotas: SessionLimits<SharedKeyedLimit>;
  #perClient = false;
  #perSecond = false;

  constructor(
    limits: ConnectionLimits,
    books: SharedLimitsStore,
    servers: number,
  ) {
    const quota = (what: keyof SessionLimits) =>
      new SharedKeyedLimit(what, limits[what], books, servers);
    this.#store = books;
    this.#quotas = {
      sessions: quota("sessions"),
      sessionsPerClient: quota("sessionsPerClient"),
      handshakesPerClient: quota("handshakesPerClient"),
      sessionsPerUser: quota("sessionsPerUser"),
    };
    this.limits = limits;
  }

  set limits(limits: ConnectionLimits) {
    setLimits(this.#quotas, limits);
    this.#perSecond = limits.connectionsPerSecondPerClient !== Infinity;
    this.#perClient = countsClients(limits);
  }

  admit(
    conn: { readonly remoteAddr: Address },
  ): Admission | RejectionReason | Promise<Admission | RejectionReason> {
    const client = this.#perClient
      ? clientKey(conn.remoteAddr.hostname)
      : undefined;
    const wants = wantsOf(client, this.#perSecond);
    const missing = wants.filter(([what, key]) =>
      what === "connectionsPerSecondPerClient" ||
      !this.#quotas[what].takeOwn(key)
    );
    const visit = new Admission(this.#quotas, client);
    return missing.length === 0 ? visit : this.#ask(wants, missing, visit);
  }

  async #ask(
    wants: readonly ClientRequest[],
    missing: readonly ClientRequest[],
    visit: Admission,
  ): Promise<Admission | RejectionReason> {
    const refused = await this.#store.acquire(missing);
    for (const want of wants) {
      const [what, key] = want;
      if (what === "connectionsPerSecondPerClient") continue;
      const isMissing = missing.includes(want);
      if (refused === null && isMissing) this.#quotas[what].takeCommon(key);
      if (refused !== null && !isMissing) this.#quotas[what].release(key);
    }
    return refused === null ? visit : refused as RejectionReason;
  }
}

/** What a client that comes in takes, in the order in which it is asked for. */
function wantsOf(
  client: string | undefined,
  perSecond: boolean,
): ClientRequest[] {
  const wants: ClientRequest[] = [["sessions", EVERYONE]];
  if (client === undefined) return wants;
  wants.push(["sessionsPerClient", client], ["handshakesPerClient", client]);
  if (perSecond) wants.push(["connectionsPerSecondPerClient", client]);
  return wants;
}

/**
 * As `Throttle`, of a user who may have sessions on other servers as well: each
 * piece has its turn in the one queue that is in the books. Datagrams cannot
 * wait for one, so some of their octets pass on credit.
 */
export class SharedRateLimiter implements UserRateLimiter {
  rate: number;
  static #lastTicket = 0;
  readonly #user: string;
  readonly #store: SharedLimitsStore;
  readonly #tickets = new Map<Waiter, number>();
  /** Octets that have passed without asking, and have not had their turn yet. */
  #owed = 0;
  #isPaying = false;

  constructor(user: string, rate: number, books: SharedLimitsStore) {
    this.#user = user;
    this.rate = rate;
    this.#store = books;
  }

  get slice(): number {
    return RateLimiter.slice(this.rate);
  }

  enqueue(octets: number): Waiter | undefined {
    if (this.rate === Infinity) return undefined;
    const turn = new Waiter(octets);
    const ticket = ++SharedRateLimiter.#lastTicket;
    this.#tickets.set(turn, ticket);
    this.#store.pass(ticket, this.#user, octets).then(() => {
      this.#tickets.delete(turn);
      turn.resolve();
    });
    return turn;
  }

  cancel(turn: Waiter): void {
    const ticket = this.#tickets.get(turn);
    if (ticket === undefined) return;
    this.#store.cancel(ticket);
    turn.resolve();
  }

  mayPass(): boolean {
    if (this.#owed < this.slice || this.rate === Infinity) return true;
    if (!this.#isPaying) void this.#pay(); // the rate may have become lower
    return false;
  }

  consume(octets: number): void {
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
    this.#store.releaseUser(this.#user);
  }

  /** Pays until little is owed. */
  async #pay(): Promise<void> {
    this.#isPaying = true;
    do {
      const octets = this.#owed;
      await this.enqueue(octets)?.ready;
      this.#owed -= octets;
    } while (this.#owed > this.slice / 2);
    this.#isPaying = false;
  }
}

/** The limiters of one of several servers. */
export function sharedLimits(
  limits: Required<Limits>,
  clock: Clock,
  { store, servers }: SharedLimits,
): ServerLimits {
  const { associationsPerClient: limit } = limits;
  return {
    connections: new SharedConnectionLimiter(limits, store, servers),
    associations: new SharedKeyedLimit(
      "associationsPerClient",
      limit,
      store,
      servers,
    ),
    rateLimiters: new RateLimiters(
      limits,
      clock,
      (user, rate) => new SharedRateLimiter(user, rate, store),
    ),
  };
}
