/**
 * Admits clients up to limits that several servers share.
 *
 * @module
 */

import type { Clock } from "../../transport/clock.ts";
import type { Address } from "../../transport/transport.ts";
import { clientKey } from "../client_key.ts";
import {
  Admission,
  type AdmissionLimits,
  SessionLimits,
} from "../limits/admission.ts";
import type {
  ConnectionLimiter,
  PendingAdmission,
} from "../limits/connection_limiter.ts";
import {
  type ConnectionLimits,
  EVERYONE,
  type RejectionReason,
} from "../limits/limit_table.ts";
import { KeyedRateLimit } from "../limits/keyed_rate_limit.ts";
import { LimitsError } from "../limits/limits_error.ts";
import { NOT_SHARED, type Sharing } from "../limits/sharing.ts";
import type { CheckedStore } from "./checked_store.ts";
import { SharedKeyedLimit } from "./shared_keyed_limit.ts";
import type { RateRequest, SlotRequest } from "./store.ts";

type AcceptLimits = AdmissionLimits<SharedKeyedLimit>;
type AcceptSlot = AcceptLimits["accept"][number];
type AcceptRequest = (SlotRequest | RateRequest) & {
  readonly limit: RejectionReason;
};

/** Admits the clients of one server. */
export class SharedConnectionLimiter implements ConnectionLimiter {
  readonly #store: CheckedStore;
  readonly #limits: SessionLimits<SharedKeyedLimit>;
  readonly #clock: Clock;
  readonly #sharesRate: boolean;
  /** The rate that the store is asked for. */
  #perSecond = Infinity;
  /** The rate of this server alone. */
  #ownRate: KeyedRateLimit | undefined;

  constructor(
    limits: ConnectionLimits,
    store: CheckedStore,
    servers: Sharing,
    clock: Clock,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#sharesRate = servers.connectionsPerSecondPerClient !== NOT_SHARED;
    this.#limits = new SessionLimits((name) =>
      new SharedKeyedLimit(name, Infinity, store, servers[name])
    );
    this.limits = limits;
  }

  set limits(limits: ConnectionLimits) {
    this.#limits.values = limits;
    const perSecond = limits.connectionsPerSecondPerClient;
    if (this.#sharesRate) this.#perSecond = perSecond;
    else if (perSecond === Infinity) this.#ownRate = undefined;
    else if (this.#ownRate) this.#ownRate.perSecond = perSecond;
    else this.#ownRate = new KeyedRateLimit(perSecond);
  }

  set sessionsOf(sessionsOf: (user: string) => number | undefined) {
    this.#limits.byName.sessionsPerUser.limitOf = sessionsOf;
  }

  handshakesOf(client: string): number {
    return this.#limits.byName.handshakesPerClient.countOf(client);
  }

  admit(
    conn: { readonly remoteAddr: Address },
  ): Admission | RejectionReason | PendingAdmission {
    const limits = this.#limits.active;
    const client = limits.countsClients
      ? clientKey(conn.remoteAddr.hostname)
      : EVERYONE;
    const own: AcceptSlot[] = [];
    const missing: AcceptSlot[] = [];
    for (const slot of limits.accept) {
      const isOwn = slot.limit.acquireOwn(keyOf(slot, client));
      (isOwn ? own : missing).push(slot);
    }
    const refused = missing.find(({ limit }) => !limit.mayAsk)?.name ??
      this.#refusedRate(client);
    if (refused) {
      release(own, client);
      return refused;
    }
    if (missing.length === 0 && this.#perSecond === Infinity) {
      return new Admission(limits, client);
    }
    const requests: AcceptRequest[] = missing.map((slot) => (
      { ...slot.limit.request(keyOf(slot, client)), limit: slot.name }
    ));
    if (this.#perSecond !== Infinity) {
      const limit = "connectionsPerSecondPerClient";
      requests.push({ limit, key: client, perSecond: this.#perSecond });
    }
    // Everything that is not in the server's share, in one call.
    const answer = this.#store.acquire(requests);
    return new StoreAdmission(limits, client, { own, missing, answer });
  }

  #refusedRate(client: string): RejectionReason | undefined {
    return this.#ownRate?.take(client, this.#clock.now()) === false
      ? "connectionsPerSecondPerClient"
      : undefined;
  }
}

function keyOf({ perClient }: AcceptSlot, client: string): string {
  return perClient ? client : EVERYONE;
}

interface Asked {
  /** Slots of the server's share, which are held while the store is asked. */
  readonly own: readonly AcceptSlot[];
  /** Slots that the store is asked for. */
  readonly missing: readonly AcceptSlot[];
  readonly answer: null | Promise<RejectionReason | null>;
}

class StoreAdmission implements PendingAdmission {
  readonly answer: Promise<Admission | RejectionReason>;
  readonly #limits: AcceptLimits;
  readonly #client: string;
  #own: readonly AcceptSlot[];
  #admission: Admission | undefined;
  #cancelled = false;

  constructor(
    limits: AcceptLimits,
    client: string,
    { own, missing, answer }: Asked,
  ) {
    this.#limits = limits;
    this.#client = client;
    this.#own = own;
    this.answer = this.#finish(missing, answer);
  }

  cancel(): void {
    this.#cancelled = true;
    this.#releaseOwn();
    this.#admission?.release();
  }

  async #finish(
    missing: readonly AcceptSlot[],
    answer: null | Promise<RejectionReason | null>,
  ): Promise<Admission | RejectionReason> {
    let reached: RejectionReason | null;
    try {
      reached = await answer;
    } catch (error) {
      this.#releaseOwn();
      throw error;
    }
    if (reached !== null) {
      this.#releaseOwn();
      return reached;
    }
    for (const slot of missing) slot.limit.granted(keyOf(slot, this.#client));
    if (this.#cancelled) {
      release(missing, this.#client);
      throw new LimitsError("timeout", "the client no longer waits");
    }
    this.#own = []; // the admission holds them now
    return this.#admission = new Admission(this.#limits, this.#client);
  }

  #releaseOwn(): void {
    release(this.#own, this.#client);
    this.#own = [];
  }
}

function release(slots: readonly AcceptSlot[], client: string): void {
  for (const slot of slots) slot.limit.release(keyOf(slot, client));
}
