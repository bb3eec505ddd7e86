/**
 * The alternatives of a pool, from what its user has given.
 *
 * @module
 */

import { checkKeys } from "../../transport/check_keys.ts";
import { systemClock } from "../../transport/clock.ts";
import { ChainDialer } from "../dialer.ts";
import { type Hops, parseHops } from "../hops.ts";
import { isOverTls } from "../proxy.ts";
import { Alternative, type PoolBackoff } from "./alternative.ts";
import type { PoolAlternative, PoolOptions } from "./options.ts";

const ALTERNATIVE_KEYS = ["hops", "name", "weight", "auth", "tls"];
/** More are considered a mistake. */
const MAX_ALTERNATIVES = 1_000;

/** Returns the alternatives of a pool. Throws a `TypeError` for invalid ones. */
export function alternativesOf(
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
