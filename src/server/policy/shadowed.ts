/**
 * Rules that never decide, because an earlier rule matches the same requests.
 *
 * @module
 */

import { cidrContains } from "../../protocol/address.ts";
import {
  compile,
  type CompiledRule,
  type CompiledTarget,
} from "./compiled_rule.ts";
import type { Rule } from "./rule.ts";

/** A rule that never decides. */
export interface ShadowedRule {
  /** The number of the rule, from 1 on. */
  readonly number: number;
  /** The rule in normal form. */
  readonly rule: string;
  /** The number of the first rule that matches all of its requests. */
  readonly by: number;
  /** That rule in normal form. */
  readonly byRule: string;
  /**
   * Whether it would open special-purpose addresses if it were the first: both
   * rules allow, and only this one names its targets.
   */
  readonly wouldOpen: boolean;
}

/**
 * The number of comparisons after which the search ends: a list of thousands of
 * rules must not delay the start.
 */
const MAX_COMPARISONS = 1_000_000;

/**
 * Returns the rules of a list that never decide, because one earlier rule matches
 * every request that they match. A rule that several others hide together is not
 * found.
 *
 * @throws {TypeError} as `rules()` does.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const [found] = shadowedRules(["allow user bob", "allow user bob 10.0.0.0/8"]);
 * assertEquals([found.number, found.by, found.wouldOpen], [2, 1, true]);
 * ```
 */
export function shadowedRules(
  list: readonly (string | Rule)[],
): ShadowedRule[] {
  const rules = list.map(compile);
  const comparison = new Comparison();
  return rules.flatMap((rule, index): ShadowedRule[] => {
    for (const [i, earlier] of rules.entries()) {
      if (i === index) break;
      if (!comparison.covers(earlier, rule)) continue;
      return [{
        number: index + 1,
        rule: rule.verdict.rule!,
        by: i + 1,
        byRule: earlier.verdict.rule!,
        wouldOpen: earlier.allows && rule.allows &&
          namesAny(earlier) && !namesAny(rule),
      }];
    }
    return [];
  });
}

/** Whether the rule matches targets that it does not name. */
function namesAny({ targets }: CompiledRule): boolean {
  return !targets || targets.some(({ isAny }) => isAny);
}

/** Compares rules until there were too many comparisons. */
class Comparison {
  #left = MAX_COMPARISONS;

  /** Whether the outer rule matches all requests that the inner one matches. */
  covers(outer: CompiledRule, inner: CompiledRule): boolean {
    return this.#all(outer.commands, inner.commands, (a, b) => a === b) &&
      this.#all(outer.users, inner.users, (a, b) => a === "*" || a === b) &&
      this.#all(outer.from, inner.from, coversBlock) &&
      this.#all(outer.targets, inner.targets, coversTarget);
  }

  /** Whether each inner item has an outer one; a missing list has all items. */
  #all<T>(
    outer: readonly T[] | undefined,
    inner: readonly T[] | undefined,
    covers: (outer: T, inner: T) => boolean,
  ): boolean {
    if (!outer || --this.#left < 0) return !outer;
    return inner !== undefined &&
      inner.every((item) =>
        outer.some((it) => --this.#left >= 0 && covers(it, item))
      );
  }
}

type Block = NonNullable<CompiledTarget["block"]>;

function coversBlock(outer: Block, inner: Block): boolean {
  return outer.network.length === inner.network.length &&
    outer.prefix <= inner.prefix && cidrContains(outer, inner.network);
}

function coversTarget(outer: CompiledTarget, inner: CompiledTarget): boolean {
  return coversHost(outer, inner) && coversPorts(outer, inner);
}

function coversHost(outer: CompiledTarget, inner: CompiledTarget): boolean {
  if (outer.isAny) return true;
  if (outer.block) {
    return inner.block !== undefined && coversBlock(outer.block, inner.block);
  }
  const name = inner.suffix ?? inner.name;
  if (name === undefined) return false;
  return outer.suffix !== undefined
    ? name.endsWith(outer.suffix)
    : outer.name === inner.name;
}

/** Adjacent ranges of the outer target are not joined. */
function coversPorts(
  { ports }: CompiledTarget,
  inner: CompiledTarget,
): boolean {
  if (!ports) return true;
  return inner.ports !== undefined &&
    inner.ports.every(({ first, last }) =>
      ports.some((it) => it.first <= first && last <= it.last)
    );
}
