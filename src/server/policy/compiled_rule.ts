/**
 * Rules, prepared for evaluation.
 *
 * @module
 */

import { type Cidr, parseCidr } from "../../protocol/address.ts";
import type { CommandName } from "../events.ts";
import type { PortRange } from "./port_range.ts";
import type { Verdict } from "./policy.ts";
import { normalRule, rangeOf, type Rule, type RuleTarget } from "./rule.ts";
import { formatRule, parseRule } from "./rule_text.ts";

/** A rule, prepared for evaluation. */
export interface CompiledRule {
  readonly allows: boolean;
  readonly verdict: Verdict;
  /** The verdict of an allow rule on targets that it does not name. */
  readonly byDefault: Verdict;
  readonly commands: readonly CommandName[] | undefined;
  readonly from: readonly Cidr[] | undefined;
  readonly users: readonly string[] | undefined;
  readonly targets: readonly CompiledTarget[] | undefined;
}

/** A target, prepared for evaluation: any target, a name, a suffix or a block. */
export interface CompiledTarget {
  readonly isAny: boolean;
  readonly name: string | undefined;
  /** With the leading dot. */
  readonly suffix: string | undefined;
  readonly block: Cidr | undefined;
  readonly ports: readonly PortRange[] | undefined;
}

/** Prepares a rule; `index` is its place in the list, for error messages. */
export function compile(given: string | Rule, index: number): CompiledRule {
  const rule = read(given, index);
  const allows = rule.action === "allow";
  const verdict: Verdict = Object.freeze({
    verdict: rule.action,
    rule: formatRule(rule),
    ...rule.via && { localAddress: rule.via },
    ...rule.prefer && { family: rule.prefer === "ipv4" ? 4 : 6 },
    ...rule.through && { through: rule.through },
  });
  return {
    allows,
    verdict,
    byDefault: Object.freeze({ ...verdict, verdict: "default" }),
    commands: rule.commands,
    from: rule.from?.map((it) => parseCidr(it)!),
    users: rule.users,
    targets: rule.to?.map(compileTarget),
  };
}

function read(given: string | Rule, index: number): Rule {
  try {
    return typeof given === "string" ? parseRule(given) : normalRule(given);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    const message = cause.message.replace(/^rule /, "");
    throw new TypeError(`rule ${index + 1}: ${message}`, { cause });
  }
}

function compileTarget({ host = "*", ports }: RuleTarget): CompiledTarget {
  const isAny = host === "*";
  const suffix = !isAny && host.startsWith("*") ? host.slice(1) : undefined;
  const block = parseCidr(host);
  return {
    isAny,
    name: isAny || suffix || block ? undefined : host,
    suffix,
    block,
    ports: ports?.map(rangeOf),
  };
}
