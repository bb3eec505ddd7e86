/**
 * What an operator grants to one user, beyond the login.
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

/** What one user may do; a missing member leaves it to the server's options. */
export interface UserAttributes {
  /** How much the user may transfer. */
  readonly quota?: Quota;
  /** The time at which the account expires, in milliseconds since the epoch. */
  readonly until?: number;
  /** How many sessions at the same time; takes the place of `limits.sessionsPerUser`. */
  readonly sessions?: number;
  /** Bytes per second; takes the place of `limits.bytesPerSecondPerUser`. */
  readonly rate?: number;
  /** The addresses and prefixes of this machine to connect from, unless a rule says otherwise. */
  readonly via?: readonly string[];
}

/**
 * Looks up the attributes of a user, by the name that sessions have. It must return quickly.
 */
export type UserAttributesLookup = (
  user: string,
) => UserAttributes | undefined;
