/**
 * The books of several servers.
 *
 * @module
 */

import { Lockout } from "../auth/lockout.ts";
import type { AdmissionLimits } from "../limits/connection_limiter.ts";
import { commonPlaces, type Counted, type Want } from "./store.ts";
import { Quota } from "../limits/keyed_limit.ts";
import { type RateLimit, rateLimit } from "../limits/keyed_rate_limit.ts";
import {
  CLOCK,
  type Clock,
  Throttle,
  type Turn,
} from "../limits/rate_limiter.ts";
import { UserThrottles } from "../limits/rate_limiters.ts";

/** The limits that hold for all servers together; `Infinity` means no limit. */
export interface LedgerLimits extends AdmissionLimits {
  /** UDP associations of each client address. */
  readonly associations: number;
  /** Octets of each user. */
  readonly octetsPerSecondPerUser: number;
}

const COUNTED: readonly Counted[] = [
  "sessions",
  "sessionsPerClient",
  "handshakesPerClient",
  "sessionsPerUser",
  "associations",
];

/** Keeps the books for a number of servers, each with an account. */
export class Ledger {
  /** Counts failed logins; to be replaced when the logins are others. */
  lockout: Lockout = new Lockout();
  readonly #servers: number;
  readonly #clock: Clock;
  readonly #quotas = Object.fromEntries(
    COUNTED.map((it) => [it, new Quota(Infinity)]),
  ) as Record<Counted, Quota>;
  readonly #users: UserThrottles<Throttle>;
  #limits!: LedgerLimits;
  #rate: RateLimit | undefined;

  constructor(limits: LedgerLimits, servers: number, clock: Clock = CLOCK) {
    this.#servers = servers;
    this.#clock = clock;
    this.#users = new UserThrottles(() =>
      new Throttle(this.#limits.octetsPerSecondPerUser, clock)
    );
    this.limits = limits;
  }

  /** The limits from now on. */
  set limits(limits: LedgerLimits) {
    this.#limits = limits;
    this.#rate = rateLimit(limits.connectionsPerSecond, this.#rate);
    for (const it of COUNTED) {
      this.#quotas[it].limit = commonPlaces(limits[it], this.#servers);
    }
    this.#users.rate = limits.octetsPerSecondPerUser;
  }

  /** How many keys and users are remembered. */
  get size(): number {
    const sizes = Object.values(this.#quotas).map(({ size }) => size);
    return sizes.reduce((sum, size) => sum + size, this.#users.size);
  }

  /** A server's account, to be closed with it. */
  open(): Account {
    return new Account(this);
  }

  /** Takes one of each or none; gives the first of which there is no more. */
  take(wants: readonly Want[]): Want[0] | null {
    for (const [what, key] of wants) {
      const hasRoom = what === "connectionsPerSecond" ||
        this.#quotas[what].hasRoom(key);
      if (!hasRoom) return what;
    }
    // Last: what was turned away does not count.
    for (const [what, key] of wants) {
      if (what !== "connectionsPerSecond") continue;
      if (this.#rate?.take(key, this.#clock.now()) === false) return what;
    }
    for (const [what, key] of wants) {
      if (what !== "connectionsPerSecond") this.#quotas[what].take(key);
    }
    return null;
  }

  /** Gives places back. */
  give(what: Counted, key: string, count: number): void {
    this.#quotas[what].add(key, -count);
  }

  /** Takes places, whether they are there or not. */
  claim(what: Counted, key: string, count: number): void {
    this.#quotas[what].add(key, count);
  }

  /** What holds the octets of a user back, until {@linkcode part}. */
  join(user: string): Throttle {
    return this.#users.join(user);
  }

  /** To be called once for each {@linkcode join}. */
  part(user: string): void {
    this.#users.part(user);
  }
}

/** What one server has taken, and its way to the books. */
export class Account {
  readonly #ledger: Ledger;
  readonly #taken = Object.fromEntries(
    COUNTED.map((it) => [it, new Quota(Infinity)]),
  ) as Record<Counted, Quota>;
  readonly #turns = new Map<number, { turn: Turn; throttle: Throttle }>();
  readonly #users = new Map<string, Throttle>();

  /** Made by {@linkcode Ledger.open}. */
  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** See `SharedBooks`, as for all of these. */
  take(wants: readonly Want[]): Want[0] | null {
    const refused = this.#ledger.take(wants);
    if (refused !== null) return refused;
    for (const [what, key] of wants) {
      if (what !== "connectionsPerSecond") this.#taken[what].take(key);
    }
    return null;
  }

  give(wants: readonly Want[]): void {
    for (const [what, key] of wants) {
      if (what === "connectionsPerSecond") continue;
      this.#taken[what].give(key);
      this.#ledger.give(what, key, 1);
    }
  }

  claim([what, key]: Want, count: number): void {
    if (what === "connectionsPerSecond") return;
    this.#taken[what].add(key, count);
    this.#ledger.claim(what, key, count);
  }

  async pass(ticket: number, user: string, octets: number): Promise<void> {
    const throttle = this.#throttleOf(user);
    const turn = throttle.queue(octets);
    if (!turn) return;
    this.#turns.set(ticket, { turn, throttle });
    await turn.come;
    this.#turns.delete(ticket);
  }

  leave(ticket: number): void {
    const waiting = this.#turns.get(ticket);
    waiting?.throttle.leave(waiting.turn);
  }

  part(user: string): void {
    if (this.#users.delete(user)) this.#ledger.part(user);
  }

  isLocked(client: string): boolean {
    return this.#ledger.lockout.isLocked(client);
  }

  failed(client: string): number {
    return this.#ledger.lockout.failed(client);
  }

  succeeded(client: string): boolean {
    return this.#ledger.lockout.succeeded(client);
  }

  /** Gives back all that its server has, which is gone. */
  close(): void {
    for (const [ticket] of this.#turns) this.leave(ticket);
    for (const user of this.#users.keys()) this.part(user);
    for (const what of COUNTED) {
      for (const [key, count] of this.#taken[what].entries()) {
        this.#ledger.give(what, key, count);
      }
    }
  }

  #throttleOf(user: string): Throttle {
    let throttle = this.#users.get(user);
    if (!throttle) this.#users.set(user, throttle = this.#ledger.join(user));
    return throttle;
  }
}
