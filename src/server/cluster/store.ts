/**
 * The counts that several servers keep together: what is asked and answered
 * between each of them and the one place that has the books.
 *
 * @module
 */

import type { LoginGuard } from "../auth/lockout.ts";

/** Of what there are places to take. */
export type CountedLimit =
  | "sessions"
  | "sessionsPerClient"
  | "handshakesPerClient"
  | "sessionsPerUser"
  | "associationsPerClient";

/** The key of what is counted for everyone together. */
export const EVERYONE = "";

/** What a server wants one of: for whom is the key. */
export type LimitRequest = readonly [
  what: CountedLimit | "connectionsPerSecondPerClient",
  key: string,
];

/** The books, as one of the servers sees them. */
export interface SharedLimitsStore extends LoginGuard {
  /** Takes one of each, or none at all: then it gives the first of which there is no more. */
  acquire(wants: readonly LimitRequest[]): Promise<LimitRequest[0] | null>;
  /** Gives back what was taken. */
  release(wants: readonly LimitRequest[]): void;
  /** Takes so many, whether they are there or not: they were the server's own before. */
  forceAcquire(want: LimitRequest, count: number): void;
  /** Lets octets of a user pass in their turn; the ticket is a number that was not used before. */
  pass(ticket: number, user: string, octets: number): Promise<void>;
  /** Gives up the turn of a ticket. */
  cancel(ticket: number): void;
  /** The server has no session of the user any more. */
  releaseUser(user: string): void;
}

/** So many places for each server are counted only in the books. */
const FEW = 64;

/**
 * How many places of each key are a server's own, which it takes without
 * asking: together an eighth of them, and none where there are few.
 *
 * So never more are taken than the limit allows, no server has to ask for each
 * client while little of the limit is used, and a small limit is exact. Of a
 * large one the rest of another server's eighth is out of reach.
 */
export function reserved(limit: number, servers: number): number {
  if (limit === Infinity) return Infinity;
  return limit < FEW * servers ? 0 : Math.floor(limit / (8 * servers));
}

/** How many places of each key are left to be asked for. */
export function shared(limit: number, servers: number): number {
  return limit === Infinity
    ? Infinity
    : limit - servers * reserved(limit, servers);
}
