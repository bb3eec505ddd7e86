/**
 * The attributes of a user: what an operator grants beyond the login.
 *
 * @module
 */

/** The days of UTC, or its months. */
export type QuotaPeriod = "day" | "month";

/** How much a user may transfer. */
export interface Quota {
  /** Bytes in both directions together; at least 1. */
  readonly bytes: number;
  /** The period after which counting starts again, at midnight UTC. */
  readonly per: QuotaPeriod;
}

/** The attributes of one user; for a missing member, the server's options apply. */
export interface UserAttributes {
  /** How much the user may transfer. */
  readonly quota?: Quota;
  /** The time at which the account expires, in milliseconds since the epoch. */
  readonly until?: number;
  /**
   * How many sessions at the same time; takes the place of `limits.sessionsPerUser`. 0 means
   * no limit.
   */
  readonly sessions?: number;
  /**
   * Bytes per second; takes the place of `limits.bytesPerSecondPerUser`. 0 means no limit.
   */
  readonly rate?: number;
  /** The addresses and prefixes of this machine to connect from, unless a rule says otherwise. */
  readonly via?: readonly string[];
}

/**
 * Looks up the attributes of a user, by the name that sessions have. It is called at each
 * login, and each second for users with open sessions: it must return quickly. If it throws
 * at a login, the request is refused.
 *
 * @example
 * ```ts
 * import { serve, userPass, type UserAttributesLookup } from "@x/socks5/server";
 *
 * const customers = new Map([["alice", { paidUntil: Date.UTC(2099, 0, 1) }]]);
 * const userAttributes: UserAttributesLookup = (user) => ({
 *   quota: { bytes: 50_000_000_000, per: "month" },
 *   until: customers.get(user)?.paidUntil,
 *   sessions: 5,
 * });
 * await using server = await serve({
 *   port: 0,
 *   auth: [userPass({ alice: "correct horse" })],
 *   userAttributes,
 * });
 * console.log(server.addr.port);
 * ```
 */
export type UserAttributesLookup = (
  user: string,
) => UserAttributes | undefined;
