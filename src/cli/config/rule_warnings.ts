/**
 * Rules that are valid but never decide.
 *
 * @module
 */

import { parseCidr } from "../../protocol/cidr.ts";
import type { HostLists } from "../../server/policy/compiled_rule.ts";
import type { RuleTarget } from "../../server/policy/rule.ts";
import { parseRule } from "../../server/policy/rule_text.ts";
import {
  type ShadowedRule,
  shadowedRules,
} from "../../server/policy/shadowed.ts";
import { mayBeLogin, quote, showPath, showRule } from "../output/escape.ts";
import { MAX_PROBLEMS } from "./kinds.ts";
import type { LoadedUpstreams } from "./load_upstreams.ts";

/** The maximum length of a rule in a warning. */
const MAX_RULE = 80;
/** How many rules a warning names, and how many users. */
const MAX_SHOWN = 3;

/**
 * Returns a line for each rule that earlier ones hide, and for each that names users
 * that do not exist.
 *
 * @param users The names of the users; `undefined` if any name may log in.
 * @param lists The lists of hosts that the rules refer to.
 */
export function ruleWarnings(
  rules: readonly string[],
  users: ReadonlySet<string> | undefined,
  lists: HostLists,
): string[] {
  const shadowed = shadowedRules(rules, users, lists).map(shadowedText);
  const warnings = [...shadowed, ...unknownUsers(rules, users)];
  if (warnings.length <= MAX_PROBLEMS) return warnings;
  return [...warnings.slice(0, MAX_PROBLEMS), "and more warnings about rules"];
}

/**
 * Returns a warning if rules deny addresses, but an upstream resolves names: it may reach
 * these addresses by name.
 */
export function addressWarnings(
  rules: readonly string[],
  lists: HostLists,
  upstreams: LoadedUpstreams | undefined,
): string[] {
  const { dial, named = {} } = upstreams ?? {};
  const dialers = [dial, ...Object.values(named)];
  if (!dialers.some((it) => it?.resolvesNames)) return [];
  const hasAddresses = ({ host = "*" }: RuleTarget) =>
    host.startsWith("@")
      ? lists[host.slice(1)]?.hasBlocks
      : parseCidr(host) !== undefined;
  const index = rules.findIndex((text) => {
    const { action, to = [] } = parseRule(text);
    return action === "deny" && to.some(hasAddresses);
  });
  if (index === -1) return [];
  return [
    `rule ${index + 1} ${
      showRule(rules[index], MAX_RULE)
    } does not match names ` +
    "that an upstream resolves: with socks5: in place of socks5h:, this server resolves " +
    "them and checks their addresses",
  ];
}

/** Returns a line for each list without an entry: rules that refer to it match nothing. */
export function listWarnings(lists: HostLists): string[] {
  const empty = Object.keys(lists).filter((it) => lists[it].size === 0);
  return empty.map((it) =>
    `rules with @${showPath(it)} match nothing: the file has no entry`
  );
}

function shadowedText(
  { number, rule, by, byRules, wouldOpen }: ShadowedRule,
): string {
  const shown = by.slice(0, MAX_SHOWN).map((it, i) =>
    `rule ${it} ${showRule(byRules[i], MAX_RULE)}`
  );
  const rest = by.length > MAX_SHOWN
    ? ` and ${by.length - MAX_SHOWN} more`
    : "";
  const match = by.length > 1 ? "together match first" : "matches first";
  return `rule ${number} ${showRule(rule, MAX_RULE)} never decides: ` +
    `${shown.join(", ")}${rest} ${match}` +
    (wouldOpen ? `; before rule ${by[0]}, it would open its targets` : "");
}

function unknownUsers(
  rules: readonly string[],
  users: ReadonlySet<string> | undefined,
): string[] {
  if (users === undefined) return [];
  return rules.flatMap((text, index) => {
    const { users: named = [] } = parseRule(text);
    const unknown = named.filter((it) =>
      it === "*" ? users.size === 0 : !users.has(it)
    );
    if (unknown.length === 0) return [];
    const rule = `rule ${index + 1} ${showRule(text, MAX_RULE)}`;
    if (users.size === 0) {
      return [`${rule} needs a user, and there are no logins`];
    }
    const shown = unknown.slice(0, MAX_SHOWN).map((it) =>
      mayBeLogin(it) ? 'with ":" in the name' : quote(it, MAX_RULE)
    );
    const rest = unknown.length > MAX_SHOWN
      ? ` and ${unknown.length - MAX_SHOWN} more`
      : "";
    return [`${rule}: there is no user ${shown.join(", ")}${rest}`];
  });
}
