/**
 * The interface of a store that counts for several servers.
 *
 * @module
 */

import type { Limits } from "../limits/limits.ts";

/** A slot of a counted limit: one session of a user, one UDP association of a client. */
export interface LimitSlot {
  /** The name of the limit, such as `sessionsPerUser`. */
  readonly limit: keyof Limits;
  /**
   * The subject of the limit: the client (its IPv4 address, the /64 of its IPv6 address),
   * the user's name, or `""` for everyone together.
   */
  readonly key: string;
}

/** Asks for a slot. */
export interface SlotRequest extends LimitSlot {
  /** How many slots of this limit and key the store may have granted, this one included. */
  readonly max: number;
}

/** Asks whether one more client may connect now. There is nothing to release afterwards. */
export interface RateRequest {
  /** The name of the limit: `connectionsPerSecondPerClient`. */
  readonly limit: keyof Limits;
  /** The client, as in {@linkcode LimitSlot}. */
  readonly key: string;
  /**
   * The average number of clients per second; a burst of twice as many, and of at least
   * 10, should be possible.
   */
  readonly perSecond: number;
}

/** One request in a call of {@linkcode SharedLimitsStore.acquire}. */
export type LimitRequest = SlotRequest | RateRequest;

/** Asks to let bytes of a user pass. */
export interface PassRequest {
  /**
   * Identifies the request for {@linkcode SharedLimitsStore.cancel}. A process uses
   * each number once.
   */
  readonly ticket: number;
  /** The user's name. */
  readonly user: string;
  /** How many bytes. */
  readonly bytes: number;
  /** How many bytes per second the user may transfer on all servers together. */
  readonly perSecond: number;
}

/**
 * Counts for several servers, so that their limits hold for all of them
 * together: in one process, for its workers, or in a database for many machines.
 *
 * A store only counts. It has no configuration: each request says how many the limit
 * allows. If a limit is large (64 or more per server), each server has a share of it that
 * it uses without asking; all shares together make up an eighth of the limit, and `max`
 * is the rest. Smaller limits are exact, and so are all limits of an unknown number of servers.
 *
 * The store may answer synchronously or with a promise. **A store that fails, by throwing
 * or rejecting, refuses the request**: the client is rejected, the login or the command
 * is refused, and a relay that waits to let bytes pass is ended. The same applies to a
 * store that does not answer within `timeouts.handshake`, except for {@linkcode
 * SharedLimitsStore.pass | pass()}, which may have to wait longer. The error is the
 * `error` of the event `session-rejected` or `session-end`; if the call belonged to no
 * session, it is reported as an event `limits-error`, once until a call succeeds. Other
 * sessions continue, and each server continues to use its share.
 *
 * A server that shuts down releases its slots one by one as its sessions end. A server
 * that crashes does not: a store on another machine should release the slots of servers
 * that no longer respond.
 *
 * @example A custom store for two servers in one process
 * ```ts
 * import { type LimitSlot, serve, type SharedLimitsStore } from "@x/socks5/server";
 *
 * const counts = new Map<string, number>();
 * const idOf = ({ limit, key }: LimitSlot) => `${limit} ${key}`;
 * const add = (slot: LimitSlot, count: number) => {
 *   const id = idOf(slot);
 *   counts.set(id, (counts.get(id) ?? 0) + count);
 * };
 * const store: SharedLimitsStore = {
 *   acquire(requests) {
 *     // Rates are not limited here: connectionsPerSecondPerClient is not set.
 *     const slots = requests.filter((it) => "max" in it);
 *     const full = slots.find((it) => (counts.get(idOf(it)) ?? 0) >= it.max);
 *     if (full) return full.limit;
 *     for (const slot of slots) add(slot, 1);
 *     return null;
 *   },
 *   release: (slot) => add(slot, -1),
 *   forceAcquire: (slot, count) => add(slot, count),
 *   pass() {}, // nor is bytesPerSecondPerUser
 *   cancel() {},
 * };
 *
 * const options = {
 *   port: 0,
 *   limits: { sessionsPerClient: 2 },
 *   sharedLimits: { store, servers: 2 },
 * };
 * await using first = await serve(options);
 * await using second = await serve(options);
 * console.log(first.addr.port, second.addr.port); // two sessions per client on both together
 * ```
 */
export interface SharedLimitsStore {
  /**
   * Grants all of the requests, or none if one of them cannot be granted.
   * Returns `null`, or the name of the first limit that is reached. A call that
   * fails must have granted nothing, because nothing is released after it.
   *
   * A slot is granted while fewer than `max` of its limit and key are held. A
   * rate should be checked last: a client that is rejected for another limit
   * does not count as one that has connected.
   */
  acquire(
    requests: readonly LimitRequest[],
  ): keyof Limits | null | Promise<keyof Limits | null>;
  /** Releases a slot that was acquired. */
  release(slot: LimitSlot): void | Promise<void>;
  /**
   * Counts slots as acquired, even beyond the limit. They were part of the server's
   * share, which a change of its limits has reduced; each is released like any other
   * slot. A call that fails must have counted nothing: these slots are not released.
   */
  forceAcquire(slot: LimitSlot, count: number): void | Promise<void>;
  /**
   * Resolves when the bytes may pass: at `perSecond` for each user, first come, first
   * served for all servers. They count as passed even if the server no longer needs them.
   *
   * Called with `bytesPerSecondPerUser` only, for about 50 ms' worth of bytes at a time.
   * The server sets no timeout for this call: a store that can lose a request must reject
   * it after some time.
   */
  pass(request: PassRequest): void | Promise<void>;
  /**
   * Removes the request with this ticket from the queue, because its session
   * has ended; its {@linkcode SharedLimitsStore.pass | pass()} may resolve, reject
   * or stay pending. Does nothing if the request was granted already.
   */
  cancel(ticket: number): void | Promise<void>;
}
