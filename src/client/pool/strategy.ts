/**
 * The order in which a pool tries its alternatives.
 *
 * @module
 */

import type { Alternative } from "./alternative.ts";

/**
 * Which alternative is used first:
 *
 * - `failover`: the first one that does not rest
 * - `round-robin`: one after the other, each as often as its weight says
 * - `sticky`: the same one for the same key, and more keys for those of more weight. While
 *   it rests, its keys are distributed among the others, whose own keys stay.
 *
 * The others follow if it cannot be reached.
 */
export type PoolStrategy = "failover" | "round-robin" | "sticky";

/** The names of the strategies. */
export const POOL_STRATEGIES: readonly PoolStrategy[] = [
  "failover",
  "round-robin",
  "sticky",
];

/** Sorts alternatives so that the one to try first comes first. */
export type Order = (
  alternatives: readonly Alternative[],
  key: string | undefined,
) => readonly Alternative[];

/** Returns the order of a strategy, with a state of its own. */
export function orderOf(strategy: PoolStrategy): Order {
  switch (strategy) {
    case "failover":
      return (alternatives) => alternatives;
    case "round-robin":
      return roundRobin();
    case "sticky":
      return (alternatives, key) => byScore(alternatives, key!);
  }
}

/** As nginx does: an alternative of much weight alternates with the others. */
function roundRobin(): Order {
  const credits = new Map<Alternative, number>();
  const creditOf = (it: Alternative) => credits.get(it) ?? 0;
  return (alternatives) => {
    let total = 0;
    for (const it of alternatives) {
      total += it.weight;
      credits.set(it, creditOf(it) + it.weight);
    }
    const sorted = alternatives.toSorted((a, b) => creditOf(b) - creditOf(a));
    const [first] = sorted;
    if (first) credits.set(first, creditOf(first) - total);
    return sorted;
  };
}

/** Weighted rendezvous hashing. */
function byScore(
  alternatives: readonly Alternative[],
  key: string,
): readonly Alternative[] {
  const scores = new Map(alternatives.map((it) => [
    it,
    it.weight / -Math.log(fractionOf(`${it.name}\n${key}`)),
  ]));
  return alternatives.toSorted((a, b) => scores.get(b)! - scores.get(a)!);
}

/** A hash of the text as a number between 0 and 1 (FNV-1a, mixed as in MurmurHash3). */
function fractionOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const octet of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ octet, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return ((hash >>> 0) + 0.5) / 2 ** 32;
}
