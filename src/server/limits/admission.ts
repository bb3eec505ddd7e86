/**
 * The slots that one session holds.
 *
 * @module
 */

import type { KeyedLimit } from "./keyed_limit.ts";
import {
  ACCEPT_LIMITS,
  type AcceptLimit,
  type ConnectionLimits,
  type CountedLimit,
  EVERYONE,
  LIMITS,
  type LoginLimit,
} from "./limit_table.ts";

/** A limit that is checked at accept. */
export interface AdmissionLimit<T extends KeyedLimit = KeyedLimit> {
  readonly name: AcceptLimit;
  readonly limit: T;
  /** Counted for each client instead of for everyone together. */
  readonly perClient: boolean;
}

/** The limits that a session holds slots of. */
export interface AdmissionLimits<T extends KeyedLimit = KeyedLimit> {
  /** The limits that are checked at accept, in the order of the table. */
  readonly accept: readonly AdmissionLimit<T>[];
  /** Those among them whose slots are held for the handshake. */
  readonly handshake: readonly AdmissionLimit<T>[];
  /** Those among them whose slots are held for the session. */
  readonly session: readonly AdmissionLimit<T>[];
  /** Whether any of them is per client. */
  readonly countsClients: boolean;
  /** The limits that are checked at the login. */
  readonly login: Readonly<Record<LoginLimit, T>>;
}

/** All limits that sessions hold slots of; `make` makes each from its name. */
export class SessionLimits<T extends KeyedLimit> {
  /** All of them. */
  readonly byName: Readonly<Record<AcceptLimit | LoginLimit, T>>;
  readonly #everyone: AdmissionLimits<T>;
  readonly #all: AdmissionLimits<T>;
  #active: AdmissionLimits<T>;

  constructor(make: (name: CountedLimit) => T) {
    const accept = ACCEPT_LIMITS.map((name) => ({
      name,
      limit: make(name),
      perClient: LIMITS[name].scope === "client",
    }));
    // A second row for logins in the table is a type error here.
    const login = { sessionsPerUser: make("sessionsPerUser") };
    const byName = accept.map(({ name, limit }) => [name, limit]);
    this.byName = { ...Object.fromEntries(byName), ...login };
    const everyone = accept.filter(({ perClient }) => !perClient);
    this.#all = { ...byDuration(accept), countsClients: true, login };
    this.#everyone = { ...byDuration(everyone), countsClients: false, login };
    this.#active = this.#everyone;
  }

  /**
   * The limits that the next session acquires slots of. While no limit per client is set,
   * they do not include those per client: such a limit counts only sessions that were
   * admitted after the first one was set.
   */
  get active(): AdmissionLimits<T> {
    return this.#active;
  }

  /** Replaces the values of the limits; slots are kept. */
  set values(values: ConnectionLimits) {
    for (
      const name of Object.keys(this.byName) as (keyof typeof this.byName)[]
    ) {
      this.byName[name].limit = values[name];
    }
    this.#active = limitsClients(values) ? this.#all : this.#everyone;
  }
}

function byDuration<T extends KeyedLimit>(
  accept: readonly AdmissionLimit<T>[],
): Pick<AdmissionLimits<T>, "accept" | "handshake" | "session"> {
  const heldFor = (held: string) =>
    accept.filter(({ name }) => LIMITS[name].held === held);
  return {
    accept,
    handshake: heldFor("handshake"),
    session: heldFor("session"),
  };
}

function limitsClients(values: ConnectionLimits): boolean {
  const names = ACCEPT_LIMITS.filter((it) => LIMITS[it].scope === "client");
  return values.connectionsPerSecondPerClient !== Infinity ||
    names.some((it) => values[it] !== Infinity);
}

/** The slots of one session that was admitted. */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #client: string;
  #user: string | undefined;
  #inHandshake = true;
  #released = false;

  /**
   * Takes over one slot of each limit of accept; `client` is the key of the limits per
   * client.
   */
  constructor(limits: AdmissionLimits, client: string) {
    this.#limits = limits;
    this.#client = client;
  }

  /** Releases the slots that are held during the handshake. Idempotent. */
  handshakeDone(): void {
    if (!this.#inHandshake) return;
    this.#inHandshake = false;
    this.#release(this.#limits.handshake);
  }

  /** Acquires a slot of the session's user; returns whether it did. Called at most once. */
  acquireUser(user: string): boolean | Promise<boolean> {
    if (this.#released) return false;
    const acquired = this.#limits.login.sessionsPerUser.acquire(user);
    return acquired instanceof Promise
      ? acquired.then((it) => it && this.#keep(user))
      : acquired && this.#keep(user);
  }

  /** The session may have ended before the answer arrived. */
  #keep(user: string): boolean {
    if (this.#released) this.#limits.login.sessionsPerUser.release(user);
    else this.#user = user;
    return !this.#released;
  }

  /** Releases all slots at the end of the session. Idempotent. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.handshakeDone();
    this.#release(this.#limits.session);
    this.#releaseUser();
  }

  #releaseUser(): void {
    if (this.#user === undefined) return;
    this.#limits.login.sessionsPerUser.release(this.#user);
  }

  /**
   * Passes the slots of the connection on to its next session, and releases the others.
   * The client has completed a handshake, so that the next one takes no slot.
   */
  passOn(): Admission {
    const next = new Admission(this.#limits, this.#client);
    next.#inHandshake = false;
    this.handshakeDone();
    this.#released = true;
    this.#releaseUser();
    return next;
  }

  #release(limits: readonly AdmissionLimit[]): void {
    for (let i = 0; i < limits.length; i++) {
      const { limit, perClient } = limits[i];
      limit.release(perClient ? this.#client : EVERYONE);
    }
  }
}
