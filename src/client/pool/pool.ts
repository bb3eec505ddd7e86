/**
 * Pools: several ways, of which those that work are used.
 *
 * @module
 */

import type { Endpoint } from "../../protocol/address.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import {
  Alternative,
  type AlternativeAttempt,
  type AlternativeStatus,
  type PoolBackoff,
} from "./alternative.ts";
import { AFTER_LOGIN } from "../chain.ts";
import {
  ChainDialer,
  DIALER_KEYS,
  type DialerOptions,
  HOP_CONNECT_KEYS,
  HOP_KEYS,
  type HopConnectOptions,
  type HopDialer,
  type HopOptions,
} from "../dialer.ts";
import { SocksError } from "../error.ts";
import { type Hops, parseHops } from "../hops.ts";
import { checkTimeout, DEFAULT_TIMEOUT, type TlsOptions } from "../options.ts";
import {
  type Order,
  orderOf,
  POOL_STRATEGIES,
  type PoolStrategy,
} from "./strategy.ts";
import { isOverTls } from "../proxy.ts";
import type { SocksConn } from "../socks_conn.ts";
import type { SocksListener } from "../socks_listener.ts";
import type { UdpAssociation } from "../udp_association.ts";

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
const ALTERNATIVE_KEYS = ["hops", "name", "weight", "auth", "tls"];
/** More are considered a mistake. */
const MAX_ALTERNATIVES = 1_000;

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

/** What an error says about an alternative. */
type Judgement =
  /** It works: its last hop has answered that the target fails. */
  | "reached"
  /** Nothing that is certain, but another attempt is not wanted. */
  | "unknown"
  /** It cannot do this, but another one may be able to. */
  | "unfit"
  | "failed";

function judge(error: unknown, hops: number): Judgement {
  if (!(error instanceof SocksError)) return "unknown"; // an invalid argument
  const { code, phase, hop } = error;
  if (code === "aborted") return "unknown";
  if (code === "unsupported" || code === "address-type") return "unfit";
  // The alert may come after the request, which HTTP and SOCKS4 send at once.
  const isUntrusted = code.startsWith("tls-") && phase !== "target-tls";
  const isAfterLogin = hop?.number === hops && AFTER_LOGIN.includes(phase) &&
    !isUntrusted;
  if (!isAfterLogin || code === "protocol") return "failed";
  // Not if the connection was closed: some proxies do that when the target refuses.
  const isOfTarget = code === "rejected" || phase === "target-tls";
  return isOfTarget ? "reached" : "unknown";
}

/** The error of a call after all alternatives, of which at least one was tried. */
function allFailed(errors: readonly SocksError[]): SocksError {
  const failures = errors.filter((it) => judge(it, NaN) === "failed");
  const last = failures.at(-1);
  if (!last || failures.length === 1) return last ?? errors[0];
  const { code, phase, reply, hop } = last;
  const message =
    `${failures.length} alternatives have failed, the last one: ${last.message}`;
  const cause = new AggregateError(failures, message);
  return new SocksError(code, message, { phase, reply, hop, cause });
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

function alternativesOf(
  given: readonly (Hops | PoolAlternative)[],
  options: PoolOptions,
): readonly Alternative[] {
  if (!Array.isArray(given) || given.length === 0) {
    throw new TypeError("a pool is a list of at least one alternative");
  }
  if (given.length > MAX_ALTERNATIVES) {
    throw new TypeError(`a pool has at most ${MAX_ALTERNATIVES} alternatives`);
  }
  const backoff = resolveBackoff(options.backoff);
  const clock = options.transport?.clock ?? systemClock;
  const names = new Set<string>();
  const alternatives = given.map(toAlternative);
  checkTls(alternatives, options);
  return alternatives.map((alternative) => {
    const dialer = dialerOf(alternative, options);
    const name = nameOf(alternative.name, `${dialer}`, names);
    const weight = weightOf(alternative, options);
    return new Alternative({ name, weight, dialer }, backoff, clock);
  });
}

/** Settings of TLS that no hop has would be a mistake. */
function checkTls(
  alternatives: readonly PoolAlternative[],
  { tls }: PoolOptions,
): void {
  if (tls === undefined) return;
  if (Array.isArray(tls)) {
    throw new TypeError("a list is the option tls of an alternative");
  }
  if (alternatives.some(({ hops }) => parseHops(hops).some(isOverTls))) return;
  throw new TypeError("tls is for hops such as socks5+tls:, and there is none");
}

function toAlternative(given: Hops | PoolAlternative): PoolAlternative {
  if (typeof given !== "object" || given === null || !("hops" in given)) {
    return { hops: given as Hops };
  }
  checkKeys(given, ALTERNATIVE_KEYS, "an alternative");
  return given;
}

function dialerOf(
  { hops, auth, tls }: PoolAlternative,
  options: PoolOptions,
): ChainDialer {
  const { timeout, signal, transport, attemptTimeout = 5_000 } = options;
  const parsed = parseHops(hops);
  const common = parsed.some(isOverTls) ? options.tls : undefined;
  return new ChainDialer(parsed, {
    timeout,
    signal,
    transport,
    auth: auth ?? options.auth,
    tls: tls ?? common,
  }, attemptTimeout);
}

function nameOf(
  given: string | undefined,
  hops: string,
  names: Set<string>,
): string {
  if (given !== undefined) {
    if (typeof given !== "string" || given === "") {
      throw new TypeError("the name of an alternative must be a text");
    }
    if (names.has(given)) {
      throw new TypeError(`two alternatives have the name ${given}`);
    }
  }
  let name = given ?? hops;
  // Proxies may differ only in their logins.
  for (let n = 2; names.has(name); n++) name = `${hops} (${n})`;
  names.add(name);
  return name;
}

function weightOf(
  { weight }: PoolAlternative,
  { strategy = "failover" }: PoolOptions,
): number {
  if (weight === undefined) return 1;
  if (strategy === "failover") {
    throw new TypeError("weight has no effect with the strategy failover");
  }
  if (Number.isFinite(weight) && weight > 0) return weight;
  throw new TypeError(`weight must be a number above 0, not ${weight}`);
}

function resolveBackoff(given: PoolBackoff = {}): Required<PoolBackoff> {
  checkKeys(given, ["min", "max"], "backoff");
  const { min = 1_000, max = Math.max(min, 60_000) } = given;
  for (const [key, value] of Object.entries({ min, max })) {
    if (Number.isFinite(value) && value > 0) continue;
    throw new TypeError(
      `backoff.${key} must be a number of milliseconds above 0, not ${value}`,
    );
  }
  if (max >= min) return { min, max };
  throw new TypeError("backoff.max must not be less than backoff.min");
}
