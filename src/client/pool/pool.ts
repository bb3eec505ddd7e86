/**
 * Pools: several ways, of which those that work are used.
 *
 * @module
 */

import type { Endpoint } from "../../protocol/address.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import {
  type ChainDialer,
  DIALER_KEYS,
  HOP_CONNECT_KEYS,
  HOP_KEYS,
  type HopDialer,
  type HopOptions,
} from "../dialer.ts";
import type { SocksError } from "../error.ts";
import type { Hops } from "../hops.ts";
import { checkTimeout, DEFAULT_TIMEOUT } from "../options.ts";
import type { SocksConn } from "../socks_conn.ts";
import type { SocksListener } from "../socks_listener.ts";
import type { UdpAssociation } from "../udp_association.ts";
import type {
  Alternative,
  AlternativeAttempt,
  AlternativeStatus,
} from "./alternative.ts";
import { alternativesOf } from "./alternatives.ts";
import { allFailed, judge } from "./judge.ts";
import type {
  PoolAlternative,
  PoolCallOptions,
  PoolConnectOptions,
  PoolOptions,
} from "./options.ts";
import { type Order, orderOf, POOL_STRATEGIES } from "./strategy.ts";

/** Several alternatives as one dialer. */
export interface HopPool extends HopDialer {
  /** Whether the last hops of all alternatives do. */
  readonly resolvesNames: boolean;
  /** Connects to a target. */
  connect(
    target: string | Endpoint,
    options?: PoolConnectOptions,
  ): Promise<SocksConn>;
  /** Asks a last hop to listen for one peer. */
  bind(
    peer?: string | Endpoint,
    options?: PoolCallOptions,
  ): Promise<SocksListener>;
  /** Opens a UDP association through an alternative of one hop. */
  udpAssociate(options?: PoolCallOptions): Promise<UdpAssociation>;
  /** Asks a last hop for an IP address of a name. */
  resolve(hostname: string, options?: PoolCallOptions): Promise<string>;
  /** Asks a last hop for the name of an IP address. */
  reverse(address: string, options?: PoolCallOptions): Promise<string>;
  /** The state of each alternative, in their order. */
  status(): AlternativeStatus[];
  /** The hops of the alternatives without credentials, separated by ` | `. */
  toString(): string;
}

/**
 * Creates a dialer that has several alternatives: proxies or chains of them.
 *
 * If an alternative cannot be reached, the next one is tried, and the failed one rests for
 * a time that doubles with each failure. After that, one call tries it again. While all
 * alternatives rest, the one whose rest ends first is tried: a call fails only if a
 * connection attempt fails, and never goes around the proxies.
 *
 * An alternative has failed if its last hop was not reached: a proxy is down, does not speak
 * its protocol or TLS, refuses the login, or needs longer than `attemptTimeout`. What the
 * last hop replies about the target, and how long that takes, does not count, and is not
 * tried again through another alternative.
 *
 * @param alternatives At least one.
 *
 * @throws {TypeError} when an argument is invalid; the message contains no password.
 *
 * @example
 * ```ts
 * import { createPool } from "@x/socks5/pool";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const pool = createPool([
 *   { name: "first", hops: "socks5h://127.0.0.1:1" }, // nothing listens there
 *   { name: "second", hops: `socks5h://127.0.0.1:${proxy.addr.port}` },
 * ], { strategy: "failover" });
 * await using conn = await pool.connect(target.addr);
 * for (const { name, failures, error } of pool.status()) {
 *   console.log(name, failures, error?.code); // first 1 proxy-unreachable, second 0 undefined
 * }
 * ```
 */
export function createPool(
  alternatives: readonly (Hops | PoolAlternative)[],
  options: PoolOptions = {},
): HopPool {
  return new AlternativePool(alternatives, options);
}

const POOL_KEYS = [...DIALER_KEYS, "strategy", "backoff", "attemptTimeout"];
const CALL_KEYS = [...HOP_KEYS, "key"];
const CONNECT_KEYS = [...HOP_CONNECT_KEYS, "key"];
class AlternativePool implements HopPool {
  readonly resolvesNames: boolean;
  readonly #alternatives: readonly Alternative[];
  readonly #options: PoolOptions;
  readonly #order: Order;

  constructor(
    given: readonly (Hops | PoolAlternative)[],
    options: PoolOptions,
  ) {
    checkKeys(options, POOL_KEYS, "the options of createPool()");
    const { strategy = "failover", timeout, attemptTimeout } = options;
    if (!POOL_STRATEGIES.includes(strategy)) {
      const names = POOL_STRATEGIES.join(", ");
      throw new TypeError(`strategy must be one of ${names}, not ${strategy}`);
    }
    for (const it of [timeout, attemptTimeout]) {
      if (it !== undefined) checkTimeout(it);
    }
    this.#options = options;
    this.#alternatives = alternativesOf(given, options);
    this.#order = orderOf(strategy);
    this.resolvesNames = this.#alternatives.every(({ dialer }) =>
      dialer.resolvesNames
    );
  }

  connect(
    target: string | Endpoint,
    options: PoolConnectOptions = {},
  ): Promise<SocksConn> {
    const { targetTls } = options;
    return this.#call(
      "connect",
      options,
      (it, how) => it.connect(target, { ...how, targetTls }),
      CONNECT_KEYS,
    );
  }

  bind(
    peer?: string | Endpoint,
    options: PoolCallOptions = {},
  ): Promise<SocksListener> {
    return this.#call("bind", options, (it, how) => it.bind(peer, how));
  }

  udpAssociate(options: PoolCallOptions = {}): Promise<UdpAssociation> {
    return this.#call(
      "udpAssociate",
      options,
      (it, how) => it.udpAssociate(how),
    );
  }

  resolve(hostname: string, options: PoolCallOptions = {}): Promise<string> {
    return this.#call(
      "resolve",
      options,
      (it, how) => it.resolve(hostname, how),
    );
  }

  reverse(address: string, options: PoolCallOptions = {}): Promise<string> {
    return this.#call(
      "reverse",
      options,
      (it, how) => it.reverse(address, how),
    );
  }

  async #call<T>(
    name: string,
    options: PoolCallOptions,
    run: (dialer: ChainDialer, options: HopOptions) => Promise<T>,
    keys: readonly string[] = CALL_KEYS,
  ): Promise<T> {
    checkKeys(options, keys, `the options of ${name}()`);
    const { transport, timeout: standard = DEFAULT_TIMEOUT } = this.#options;
    const { signal, timeout = standard } = options;
    checkTimeout(timeout);
    const left = countdown(transport?.clock ?? systemClock, timeout);
    const errors: SocksError[] = [];
    for (const it of this.#choose(options)) {
      // The first one is tried in any case, so that there is an error to report.
      const timeout = errors.length === 0 ? Math.abs(left()) : left();
      if (timeout < 0) break;
      const attempt = it.begin();
      try {
        const result = await run(it.dialer, { signal, timeout });
        it.reached(attempt);
        return result;
      } catch (error) {
        errors.push(this.#failed(it, attempt, error, signal));
      }
    }
    throw allFailed(errors);
  }

  /** Returns the error if another alternative may be tried, and throws it otherwise. */
  #failed(
    alternative: Alternative,
    attempt: AlternativeAttempt,
    error: unknown,
    signal: AbortSignal | undefined,
  ): SocksError {
    const isOver = signal?.aborted || this.#options.signal?.aborted;
    const found = isOver ? "unknown" : judge(error, alternative.dialer.length);
    if (found === "reached") alternative.reached(attempt);
    else if (found === "failed") {
      alternative.failed(attempt, error as SocksError);
    } else alternative.ended(attempt);
    if (found === "reached" || found === "unknown") throw error;
    return error as SocksError;
  }

  /** The alternatives to try, in their order; at least one. */
  #choose(options: PoolCallOptions): readonly Alternative[] {
    const key = this.#options.strategy === "sticky"
      ? keyOf(options)
      : undefined;
    const usable = this.#alternatives.filter((it) => it.isUsable);
    if (usable.length > 0) return this.#order(usable, key);
    const least = Math.min(...this.#alternatives.map((it) => it.restsFor));
    return [this.#alternatives.find((it) => it.restsFor <= least)!];
  }

  status(): AlternativeStatus[] {
    return this.#alternatives.map((it) => it.status);
  }

  toString(): string {
    return this.#alternatives.map(({ dialer }) => `${dialer}`).join(" | ");
  }
}

interface ServerSession {
  readonly client: { readonly hostname: string };
  readonly user?: string;
}

/** Returns the milliseconds that are left, -1 if there are none; 0 means no limit. */
function countdown(clock: Clock, timeout: number): () => number {
  if (timeout === 0) return () => 0;
  const until = clock.now() + timeout;
  return () => Math.max(0, Math.ceil(until - clock.now())) || -1;
}

function keyOf(options: PoolCallOptions & { session?: ServerSession }): string {
  const { session, key = session?.user ?? session?.client.hostname } = options;
  if (typeof key === "string") return key;
  throw new TypeError("the strategy sticky needs the option key, a text");
}
