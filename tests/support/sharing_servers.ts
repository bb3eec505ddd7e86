/**
 * Servers that share limits through a coordinator, without a network.
 *
 * @module
 */

import { CheckedStore } from "../../src/server/cluster/checked_store.ts";
import {
  Coordinator,
  type WorkerLimits,
} from "../../src/server/cluster/coordinator.ts";
import { SharedConnectionLimiter } from "../../src/server/cluster/shared_connection_limiter.ts";
import type { SharedLimitsStore } from "../../src/server/cluster/store.ts";
import type { Admission } from "../../src/server/limits/admission.ts";
import {
  LIMIT_NAMES,
  type LimitValues,
  type RejectionReason,
} from "../../src/server/limits/limit_table.ts";
import type { Sharing } from "../../src/server/limits/sharing.ts";
import { FakeClock } from "./fake_clock.ts";

/** No limits. */
export const UNLIMITED: LimitValues = {
  sessions: Infinity,
  sessionsPerClient: Infinity,
  sessionsPerUser: Infinity,
  handshakesPerClient: Infinity,
  connectionsPerSecondPerClient: Infinity,
  associationsPerClient: Infinity,
  targetsPerAssociation: Infinity,
  bytesPerSecondPerSession: Infinity,
  bytesPerSecondPerUser: Infinity,
};

/** All limits are divided among as many servers. */
function sharing(servers: number): Sharing {
  const entries = LIMIT_NAMES.map((name) => [name, servers]);
  return Object.fromEntries(entries);
}

/** The store as a server in another process sees it; counts its questions. */
export interface RemoteStore extends SharedLimitsStore {
  asked: number;
}

function remote(worker: WorkerLimits): RemoteStore {
  const store: RemoteStore = {
    asked: 0,
    acquire(requests) {
      store.asked++;
      return Promise.resolve(worker.acquire(requests));
    },
    release: worker.release.bind(worker),
    forceAcquire: worker.forceAcquire.bind(worker),
    pass: worker.pass.bind(worker),
    cancel: worker.cancel.bind(worker),
  };
  return store;
}

/** One of the servers. */
export interface SharingServer {
  readonly worker: WorkerLimits;
  readonly store: RemoteStore;
  readonly checked: CheckedStore;
  readonly limiter: SharedConnectionLimiter;
}

/** Some servers that share limits, and their coordinator. */
export function sharingServers(
  limits: Partial<LimitValues>,
  size = 2,
  clock: FakeClock = new FakeClock(),
): {
  coordinator: Coordinator;
  servers: SharingServer[];
  clock: FakeClock;
} {
  const all = { ...UNLIMITED, ...limits };
  const coordinator = new Coordinator(clock);
  const servers = Array.from({ length: size }, () => {
    const worker = coordinator.open();
    const store = remote(worker);
    const checked = new CheckedStore(store, (error) => {
      throw error;
    });
    const limiter = new SharedConnectionLimiter(
      all,
      checked,
      sharing(size),
      clock,
    );
    return { worker, store, checked, limiter };
  });
  return { coordinator, servers, clock };
}

/** Admits a client on a server. */
export async function admit(
  { limiter }: SharingServer,
  hostname = "192.0.2.1",
): Promise<Admission | RejectionReason> {
  const admitted = limiter.admit({ remoteAddr: { hostname, port: 1 } });
  return typeof admitted !== "string" && "answer" in admitted
    ? await admitted.answer
    : admitted;
}

/**
 * Admits clients on each server in turn until one is rejected; returns the
 * admissions and the reason.
 */
export async function fill(
  servers: readonly SharingServer[],
  hostname?: string,
): Promise<{ admissions: Admission[]; reason: RejectionReason }> {
  const admissions: Admission[] = [];
  for (let i = 0;; i++) {
    const admitted = await admit(servers[i % servers.length], hostname);
    if (typeof admitted === "string") return { admissions, reason: admitted };
    admissions.push(admitted);
  }
}

/** Lets answers that have come be handled. */
export async function handleAnswers(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}
