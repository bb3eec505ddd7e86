/**
 * The limits of a server, as an option of `serve()`.
 *
 * @module
 */

/** Limits on the resources that clients can use; 0 means no limit. */
export interface Limits {
  /**
   * Simultaneous client connections; further ones are closed at once. By default
   * 10,000, or fewer if the process may not open two descriptors for each (known on
   * Node.js and Bun on Linux; a UDP association takes up to four).
   */
  readonly sessions?: number;
  /** Simultaneous connections of each client address, or IPv6 /64. @default {0} */
  readonly sessionsPerClient?: number;
  /** Simultaneous sessions of each logged-in user. @default {0} */
  readonly sessionsPerUser?: number;
  /**
   * Connections of each client address whose request is not complete. By default
   * 1,000, but no limit if the server listens on loopback, where clients share an
   * address.
   */
  readonly handshakesPerClient?: number;
  /**
   * New connections of each client address per second. Bursts of twice as many, and of
   * at least 10, are allowed.
   *
   * @default {0}
   */
  readonly connectionsPerSecondPerClient?: number;
  /** Bytes per second of each session, both directions together. @default {0} */
  readonly bytesPerSecondPerSession?: number;
  /** Bytes per second of all sessions of each user together. @default {0} */
  readonly bytesPerSecondPerUser?: number;
  /**
   * Simultaneous UDP associations of each client address; requests for more get the
   * reply "general failure".
   *
   * @default {1_000}
   */
  readonly associationsPerClient?: number;
  /**
   * Targets that each UDP association remembers. Only they can send datagrams to the
   * client. The least recently used target is forgotten first.
   *
   * @default {256}
   */
  readonly targetsPerAssociation?: number;
}
