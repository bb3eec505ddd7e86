/**
 * The interface of a store that counts what users transfer.
 *
 * @module
 */

/** The traffic of a user. */
export interface Usage {
  /** Bytes from the user to targets. */
  readonly sent: number;
  /** Bytes from targets to the user. */
  readonly received: number;
  /** Sessions that have started. */
  readonly sessions: number;
}

/** The traffic of a user since the last report. */
export interface UsageReport extends Usage {
  /** The user's name. */
  readonly user: string;
}

/** The traffic of a user in total, and in the current periods of UTC. */
export interface UserTotals {
  /** The user's name. */
  readonly user: string;
  /** Since counting began. */
  readonly total: Usage;
  /** Since midnight. */
  readonly day: Usage;
  /** Since the first of the month. */
  readonly month: Usage;
}

/**
 * Counts what users have transferred, in one process or in a database for several servers.
 * It has no configuration: the server compares the totals with the quotas of the users.
 */
export interface UsageStore {
  /**
   * Adds usage, and returns the totals of the same users in the same order. A report of
   * zeros only reads.
   *
   * If it fails, by throwing or rejecting, it must have added nothing: the same usage is
   * reported again later.
   */
  add(
    reports: readonly UsageReport[],
  ): readonly UserTotals[] | Promise<readonly UserTotals[]>;
}
