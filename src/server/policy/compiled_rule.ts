/**
 * Rules, prepared for evaluation.
 *
 * @module
 */

import { type Cidr, parseCidr } from "../../protocol/address.ts";
import type { CommandName } from "../events.ts";
import type { PortRange } from "./port_range.ts";
import type { Verdict } from "./policy.ts";
import type { HostList } from "./host_list.ts";
import {
  isList,
  normalRule,
  quote,
  rangeOf,
  type Rule,
  type RuleTarget,
} from "./rule.ts";
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

/** A target, prepared for evaluation: any target, a name, a suffix, a block or a list. */
export interface CompiledTarget {
  readonly isAny: boolean;
  readonly name: string | undefined;
  /** With the leading dot. */
  readonly suffix: string | undefined;
  readonly block: Cidr | undefined;
  /** If it is set, {@linkcode CompiledTarget.name} identifies the list. */
  readonly list: HostList | undefined;
  readonly ports: readonly PortRange[] | undefined;
}

/** The lists that rules refer to, by their names. */
export type HostLists = Readonly<Record<string, HostList>>;

/** Prepares a rule; `index` is its place in the list, for error messages. */
export function compile(
  given: string | Rule,
  index: number,
  lists: HostLists,
): CompiledRule {
  const rule = read(given, index);
  const allows = rule.action === "allow";
  const verdict: Verdict = Object.freeze({
    verdict: rule.action,
    rule: formatRule(rule),
    ...rule.via && {
      localAddress: typeof rule.via === "string"
        ? rule.via
        : Object.freeze(rule.via),
    },
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
    targets: rule.to?.map((it) => compileTarget(it, index, lists)),
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

function compileTarget(
  { host = "*", ports }: RuleTarget,
  index: number,
  lists: HostLists,
): CompiledTarget {
  const isAny = host === "*";
  const suffix = !isAny && host.startsWith("*") ? host.slice(1) : undefined;
  const list = isList(host) ? listOf(host, index, lists) : undefined;
  const block = list ? undefined : parseCidr(host);
  return {
    isAny,
    // No suffix of another rule is one of a list's name.
    name: list ? `${host}@` : isAny || suffix || block ? undefined : host,
    suffix,
    block,
    list,
    ports: ports?.map(rangeOf),
  };
}

function listOf(host: string, index: number, lists: HostLists): HostList {
  const name = host.slice(1);
  if (Object.hasOwn(lists, name)) return lists[name];
  throw new TypeError(`rule ${index + 1}: there is no list ${quote(name)}`);
}
