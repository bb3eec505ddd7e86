/**
 * Admits clients up to limits that several servers share.
 *
 * @module
 */

import type { Address } from "../../transport/transport.ts";
import { clientKey } from "../client_key.ts";
import {
  Admission,
  type AdmissionLimits,
  SessionLimits,
} from "../limits/admission.ts";
import type { ConnectionLimiter } from "../limits/connection_limiter.ts";
import {
  type ConnectionLimits,
  EVERYONE,
  type RejectionReason,
} from "../limits/limit_table.ts";
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
  #perSecond = Infinity;

  constructor(limits: ConnectionLimits, store: CheckedStore, servers: number) {
    this.#store = store;
    this.#limits = new SessionLimits((name) =>
      new SharedKeyedLimit(name, Infinity, store, servers)
    );
    this.limits = limits;
  }

  set limits(limits: ConnectionLimits) {
    this.#limits.values = limits;
    this.#perSecond = limits.connectionsPerSecondPerClient;
  }

  admit(
    conn: { readonly remoteAddr: Address },
  ): Admission | RejectionReason | Promise<Admission | RejectionReason> {
    const limits = this.#limits.active;
    const client = limits.countsClients
      ? clientKey(conn.remoteAddr.hostname)
      : EVERYONE;
    const missing = limits.accept.filter(({ limit, perClient }) =>
      !limit.acquireOwn(perClient ? client : EVERYONE)
    );
    return missing.length === 0 && this.#perSecond === Infinity
      ? new Admission(limits, client)
      : this.#ask(limits, client, missing);
  }

  /** Asks for everything that is not in the server's share, in one call. */
  async #ask(
    limits: AcceptLimits,
    client: string,
    missing: readonly AcceptSlot[],
  ): Promise<Admission | RejectionReason> {
    const keyOf = ({ perClient }: AcceptSlot) => perClient ? client : EVERYONE;
    const giveBack = () => {
      for (const slot of limits.accept) {
        if (!missing.includes(slot)) slot.limit.release(keyOf(slot));
      }
    };
    const requests: AcceptRequest[] = missing.map((slot) => (
      { ...slot.limit.request(keyOf(slot)), limit: slot.name }
    ));
    if (this.#perSecond !== Infinity) {
      const limit = "connectionsPerSecondPerClient";
      requests.push({ limit, key: client, perSecond: this.#perSecond });
    }
    let reached: RejectionReason | null;
    try {
      reached = await this.#store.acquire(requests);
    } catch (error) {
      giveBack();
      throw error;
    }
    if (reached !== null) {
      giveBack();
      return reached;
    }
    for (const slot of missing) slot.limit.granted(keyOf(slot));
    return new Admission(limits, client);
  }
}
