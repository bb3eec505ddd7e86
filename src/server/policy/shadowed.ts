/**
 * Rules that never decide, because earlier rules match the same requests.
 *
 * @module
 */

import { compile, type CompiledRule, type HostLists } from "./compiled_rule.ts";
import {
  type Box,
  contains,
  cornersOf,
  overlaps,
  sizeOf,
  without,
} from "./ranges.ts";
import type { Rule } from "./rule.ts";
import { RuleIndex } from "./rule_index.ts";
import { Boxes, type Part, partsOf } from "./rule_part.ts";

/** A rule that never decides. */
export interface ShadowedRule {
  /** The number of the rule, from 1 on. */
  readonly number: number;
  /** The rule in normal form. */
  readonly rule: string;
  /**
   * The numbers of the earlier rules that match all of its requests: the first one that
   * does so alone, or several that do so together.
   */
  readonly by: readonly number[];
  /** Those rules in normal form. */
  readonly byRules: readonly string[];
  /**
   * Whether it would open special-purpose addresses if it were the first: all of the
   * rules allow, and only this one names all of its targets.
   */
  readonly wouldOpen: boolean;
}

/**
 * How many ranges and boxes are indexed and compared for a list. The search ends then,
 * because it must not delay the start.
 */
const MAX_STEPS = 1_000_000;
/** How many boxes may be left of a part of a rule. A part in more pieces counts as not hidden. */
const MAX_BOXES = 256;

/**
 * Returns the rules of a list that never decide, because earlier rules together match
 * every request that they match. In a list with hundreds of rules that overlap each
 * other, some may be missing.
 *
 * @param users The names of all users, if they are known: a rule for each of them
 * together hide one for `user *`.
 * @param lists The lists of hosts that the rules refer to; their entries are not compared.
 *
 * @throws {TypeError} as `rules()` does.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const [found] = shadowedRules(["allow user bob", "allow user bob 10.0.0.0/8"]);
 * assertEquals([found.number, found.by, found.wouldOpen], [2, [1], true]);
 *
 * const halves = ["allow *:1-1000", "deny *:1001-65535", "allow a.test:1-2000"];
 * assertEquals(shadowedRules(halves)[0].by, [1, 2]);
 * ```
 */
export function shadowedRules(
  list: readonly (string | Rule)[],
  users?: ReadonlySet<string>,
  lists: HostLists = {},
): ShadowedRule[] {
  const rules = list.map((it, index) => compile(it, index, lists));
  return new Search(rules, users).shadowed().map(({ rule: index, by }) => {
    const rule = rules[index];
    const earlier = by.map((it) => rules[it]);
    return {
      number: index + 1,
      rule: rule.verdict.rule!,
      by: by.map((it) => it + 1),
      byRules: earlier.map((it) => it.verdict.rule!),
      wouldOpen: rule.allows && !namesAny(rule) &&
        earlier.every(({ allows }) => allows) && earlier.some(namesAny),
    };
  });
}

/** Whether the rule matches targets that it does not name. */
function namesAny({ targets }: CompiledRule): boolean {
  return !targets || targets.some(({ isAny }) => isAny);
}

/** A part of a rule as a box, and the boxes of the parts that may help to cover it. */
interface Overlap {
  readonly box: Box;
  readonly earlier: readonly { readonly rule: number; readonly box: Box }[];
}

/** Goes through the rules in their order; the index has the earlier ones. */
class Search {
  readonly #parts: readonly (readonly Part[])[];
  readonly #index: RuleIndex;
  /** All users, numbered. */
  readonly #users: ReadonlyMap<string, number>;
  #stepsLeft = MAX_STEPS;

  constructor(
    rules: readonly CompiledRule[],
    users: ReadonlySet<string> = new Set(),
  ) {
    this.#parts = rules.map(partsOf);
    this.#index = new RuleIndex(this.#parts);
    this.#users = numbered(users);
  }

  shadowed(): { readonly rule: number; readonly by: readonly number[] }[] {
    return this.#parts.flatMap((parts, rule) => {
      if (this.#stepsLeft <= 0) return [];
      const overlaps = this.#overlapsOf(parts);
      for (const part of parts) this.#stepsLeft -= costOfAdding(part);
      this.#index.add(parts);
      const by = firstContaining(overlaps) ?? this.#coveringAll(overlaps);
      return by ? [{ rule, by }] : [];
    });
  }

  #overlapsOf(parts: readonly Part[]): readonly Overlap[] {
    const [{ from, users = [] }] = parts;
    const known = users[0] === "*" ? this.#users : numbered(users);
    const helping = this.#index.helping(from, known);
    return parts.map((it) => this.#overlapOf(it, known, helping));
  }

  #overlapOf(
    part: Part,
    users: ReadonlyMap<string, number>,
    helping: ReadonlySet<Part>,
  ): Overlap {
    const boxes = new Boxes(part, users);
    const { covered } = boxes;
    const found = this.#stepsLeft > 0
      ? this.#index.overlapping(part, helping)
      : [];
    const earlier = found.flatMap((it) => {
      const box = boxes.of(it);
      this.#stepsLeft -= costOfComparing(covered, box);
      return box && overlaps(box, covered) ? [{ rule: it.rule, box }] : [];
    });
    return { box: covered, earlier };
  }

  /** The rules that cover all parts together, without those that are not needed. */
  #coveringAll(overlaps: readonly Overlap[]): number[] | undefined {
    const needed = new Set<number>();
    for (const overlap of overlaps) {
      const by = coversCorners(overlap) && this.#covering(overlap);
      if (!by) return undefined;
      for (const rule of this.#withoutNeedless(overlap, by)) needed.add(rule);
    }
    return [...needed].sort((a, b) => a - b);
  }

  /** The rules that cover a part together; `undefined` if they do not. */
  #covering({ box, earlier }: Overlap): ReadonlySet<number> | undefined {
    const by = new Set<number>();
    let left: readonly Box[] = [box];
    for (const { rule, box } of earlier) {
      for (const it of left) this.#stepsLeft -= sizeOf(it);
      const rest = left.flatMap((it) => without(it, box));
      if (rest.length !== left.length || rest.some((it, i) => it !== left[i])) {
        by.add(rule);
      }
      if (rest.length === 0) return by;
      if (rest.length > MAX_BOXES || this.#stepsLeft < 0) return undefined;
      left = rest;
    }
    return undefined;
  }

  #withoutNeedless(
    { box, earlier }: Overlap,
    by: ReadonlySet<number>,
  ): ReadonlySet<number> {
    let needed = by;
    for (const rule of by) {
      const others = earlier.filter((it) =>
        it.rule !== rule && needed.has(it.rule)
      );
      needed = this.#covering({ box, earlier: others }) ?? needed;
    }
    return needed;
  }
}

function numbered(users: Iterable<string>): ReadonlyMap<string, number> {
  return new Map([...users].map((it, index) => [it, index]));
}

/** The index has parts without a host by each of their clients or users. */
function costOfAdding({ target, from, users }: Part): number {
  const isAny = !target || target.isAny;
  return isAny ? from?.length ?? users?.length ?? 1 : 1;
}

/** One step, and one more for each range that is not the only one of its dimension. */
function costOfComparing(a: Box, b: Box | undefined): number {
  return b ? 1 + sizeOf(a) + sizeOf(b) - a.length - b.length : 1;
}

/** Whether the corners of the part are covered, which is soon found out. */
function coversCorners({ box, earlier }: Overlap): boolean {
  return cornersOf(box).every((corner) =>
    earlier.some((it) => overlaps(it.box, corner))
  );
}

/** The first rule of which one part contains each of these. */
function firstContaining(overlaps: readonly Overlap[]): number[] | undefined {
  const containing = overlaps.map(({ box, earlier }) =>
    new Set(
      earlier.filter((it) => contains(it.box, box)).map(({ rule }) => rule),
    )
  );
  const [first, ...others] = containing;
  for (const rule of first) {
    if (others.every((it) => it.has(rule))) return [rule];
  }
  return undefined;
}
