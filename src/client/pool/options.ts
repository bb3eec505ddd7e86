/**
 * The options of pools.
 *
 * @module
 */

import type {
  DialerOptions,
  HopConnectOptions,
  HopOptions,
} from "../dialer.ts";
import type { Hops } from "../hops.ts";
import type { TlsOptions } from "../options.ts";
import type { PoolBackoff } from "./alternative.ts";
import type { PoolStrategy } from "./strategy.ts";

/** An alternative of a {@linkcode createPool}. */
export interface PoolAlternative extends Pick<DialerOptions, "auth" | "tls"> {
  /** The hops, as in {@linkcode createDialer}. */
  readonly hops: Hops;
  /**
   * Its name in {@linkcode HopPool.status} and in error messages, and for the distribution
   * of keys. By default the URLs of its hops without credentials.
   */
  readonly name?: string;
  /**
   * A number above 0: an alternative of weight 2 is used twice as often as one of weight 1.
   * Only for the strategies `round-robin` and `sticky`. @default {1}
   */
  readonly weight?: number;
}

/** Options of {@linkcode createPool}. */
export interface PoolOptions extends Omit<DialerOptions, "tls"> {
  /** For all hops with TLS of alternatives without this option. */
  readonly tls?: TlsOptions;
  /** Which alternative is used first. @default {"failover"} */
  readonly strategy?: PoolStrategy;
  /** How long an alternative that failed rests. */
  readonly backoff?: PoolBackoff;
  /**
   * Milliseconds for the hops of one alternative, until the last one has accepted the
   * login; 0 means no limit. It does not limit how long the target may take to answer. An
   * HTTP proxy accepts a login only together with the target, so that here only the
   * connection to it counts.
   *
   * @default {5_000}
   */
  readonly attemptTimeout?: number;
}

/** Options of one call of a {@linkcode HopPool}. */
export interface PoolCallOptions extends HopOptions {
  /**
   * For the strategy `sticky`: calls with the same key use the same alternative. In a server
   * it is by default the user, or the address of a client without a login.
   */
  readonly key?: string;
}

/** Options of {@linkcode HopPool.connect}. */
export interface PoolConnectOptions
  extends HopConnectOptions, PoolCallOptions {}
