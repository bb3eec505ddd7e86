/**
 * Admits clients, up to the limits of a server.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Address } from "../../transport/transport.ts";
import { clientKey } from "../client_key.ts";
import { Admission, SessionLimits } from "./admission.ts";
import { LocalKeyedLimit } from "./keyed_limit.ts";
import { KeyedRateLimit } from "./keyed_rate_limit.ts";
import {
  type ConnectionLimits,
  EVERYONE,
  type RejectionReason,
} from "./limit_table.ts";

/** A client about which a shared store has been asked. */
export interface PendingAdmission {
  /** The answer. Rejects if the store fails. */
  readonly answer: Promise<Admission | RejectionReason>;
  /**
   * Releases all slots that are held for the client, whose connection is closed. A late
   * answer is handled when it arrives, if it ever does. Idempotent.
   */
  cancel(): void;
}

/** Admits clients on its own, or by asking a store that several servers share. */
export interface ConnectionLimiter {
  /** The limits from now on; they end no session. */
  set limits(limits: ConnectionLimits);
  /** The sessions of a user who has a limit of the user's own. */
  set sessionsOf(sessionsOf: (user: string) => number | undefined);
  /** How many clients with this key have not completed their request, on this server. */
  handshakesOf(client: string): number;
  /**
   * Admits a client, or returns the limit that it is rejected for. Reads its
   * address only if a limit needs it.
   */
  admit(
    conn: { readonly remoteAddr: Address },
  ): Admission | RejectionReason | PendingAdmission;
}

/**
 * Counts the sessions of one server. Clients and users without a session take no
 * memory, except that of {@linkcode KeyedRateLimit}.
 */
export class LocalConnectionLimiter implements ConnectionLimiter {
  readonly #clock: Clock;
  readonly #limits = new SessionLimits(() => new LocalKeyedLimit(Infinity));
  #rate: KeyedRateLimit | undefined;

  constructor(limits: ConnectionLimits, clock: Clock = systemClock) {
    this.#clock = clock;
    this.limits = limits;
  }

  set limits(limits: ConnectionLimits) {
    this.#limits.values = limits;
    const perSecond = limits.connectionsPerSecondPerClient;
    if (perSecond === Infinity) this.#rate = undefined;
    else if (this.#rate) this.#rate.perSecond = perSecond;
    else this.#rate = new KeyedRateLimit(perSecond);
  }

  /** How many sessions were admitted and have not ended. */
  get sessions(): number {
    return this.#limits.byName.sessions.countOf(EVERYONE);
  }

  /** How many keys are remembered. */
  get size(): number {
    const sizes = Object.values(this.#limits.byName).map(({ size }) => size);
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  set sessionsOf(sessionsOf: (user: string) => number | undefined) {
    this.#limits.byName.sessionsPerUser.limitOf = sessionsOf;
  }

  handshakesOf(client: string): number {
    return this.#limits.byName.handshakesPerClient.countOf(client);
  }

  admit(conn: { readonly remoteAddr: Address }): Admission | RejectionReason {
    const limits = this.#limits.active;
    const { accept } = limits;
    const client = limits.countsClients
      ? clientKey(conn.remoteAddr.hostname)
      : EVERYONE;
    for (let i = 0; i < accept.length; i++) {
      const { name, limit, perClient } = accept[i];
      if (!limit.hasRoom(perClient ? client : EVERYONE)) return name;
    }
    // Last, because a client that is rejected for another limit takes no token.
    if (this.#rate?.take(client, this.#clock.now()) === false) {
      return "connectionsPerSecondPerClient";
    }
    for (let i = 0; i < accept.length; i++) {
      const { limit, perClient } = accept[i];
      limit.acquire(perClient ? client : EVERYONE);
    }
    return new Admission(limits, client);
  }
}
