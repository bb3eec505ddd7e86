/**
 * Ranges of ports.
 *
 * @module
 */

/** A range of ports that includes both ends. */
export interface PortRange {
  /** 0 to 65535; at least 1 for ports to listen on. */
  readonly first: number;
  /** `first` to 65535. */
  readonly last: number;
}
